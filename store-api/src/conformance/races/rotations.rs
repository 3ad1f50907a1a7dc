//! Sessions that move to a new id while something else happens to them.

use std::sync::Arc;

use super::{in_lanes, stagger};
use crate::{
    Age, Record, Saved, SessionStore,
    conformance::{Subject, is_live, live, new_id, noted, rounds, stored, two_nodes},
};

/// Of a save and a rotation from the same revision one wins, and the old id stays dead if it
/// was the rotation (S2, R1).
pub async fn a_rotation_beats_a_late_save(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(500);
    let wrong = in_lanes(rounds, nodes, |[store, node]| async move {
        let record = stored(&store, live()).await;
        let saving = tokio::spawn({
            let (store, record) = (Arc::clone(&store), noted(record.clone(), "1"));
            async move { store.save(&record).await.unwrap() }
        });
        stagger().await;
        let moved = Record {
            id: new_id(),
            ..record.clone()
        };
        let rotated = node.rotate(record.id, &moved, Age::Keep).await.unwrap();
        let saved = saving.await.unwrap();
        let lives = (
            is_live(&store, record.id).await,
            is_live(&store, moved.id).await,
        );
        match (saved, rotated) {
            (Saved::Stored(_), Saved::Conflict) => lives != (true, false),
            (Saved::Gone, Saved::Stored(_)) => lives != (false, true),
            _ => true,
        }
    })
    .await;
    println!("rounds={rounds} wrong={wrong}");
    assert_eq!(wrong, 0);
}

/// Of two rotations from the same id one wins; the other stored nothing (R2).
pub async fn of_two_rotations_one_wins(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(500);
    let wrong = in_lanes(rounds, nodes, |[store, node]| async move {
        let old = stored(&store, live()).await;
        let [one, other] = [&store, &node].map(|store| {
            let (store, old) = (Arc::clone(store), old.clone());
            tokio::spawn(async move {
                stagger().await;
                let moved = Record {
                    id: new_id(),
                    ..old.clone()
                };
                let rotated = store.rotate(old.id, &moved, Age::Keep).await.unwrap();
                (matches!(rotated, Saved::Stored(_)), moved.id)
            })
        });
        let answers = [one.await.unwrap(), other.await.unwrap()];
        let mut wrong = is_live(&store, old.id).await;
        for (won, id) in answers {
            wrong |= is_live(&node, id).await != won;
        }
        wrong || answers[0].0 == answers[1].0
    })
    .await;
    println!("rounds={rounds} wrong={wrong}");
    assert_eq!(wrong, 0);
}

/// Nobody sees the session under both ids (R1).
pub async fn a_rotation_is_never_seen_twice(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(200);
    let twice = in_lanes(rounds, nodes, |[store, node]| async move {
        let old = stored(&store, live()).await;
        let moved = Record {
            id: new_id(),
            ..old.clone()
        };
        let watching = tokio::spawn({
            let (old, new) = (old.id, moved.id);
            async move {
                loop {
                    // In this order: who finds the new one must not find the old one any more.
                    if is_live(&node, new).await {
                        return is_live(&node, old).await;
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        let rotated = store.rotate(old.id, &moved, Age::Keep).await.unwrap();
        assert!(matches!(rotated, Saved::Stored(_)), "{rotated:?}");
        watching.await.unwrap()
    })
    .await;
    println!("rounds={rounds} seen_twice={twice}");
    assert_eq!(twice, 0);
}
