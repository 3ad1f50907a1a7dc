//! Sessions that end while something else happens to them.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{in_lanes, stagger};
use crate::{
    Age, Record, Saved, SessionId, SessionStore,
    conformance::{Subject, is_live, live, new_id, noted, owned, rounds, stored, two_nodes},
};

/// A save in flight while the session is ended does not bring it back (S2, E2).
pub async fn an_end_beats_a_late_save(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(2_000);
    let revived = in_lanes(rounds, nodes, |[store, node]| async move {
        let record = stored(&store, live()).await;
        let saving = tokio::spawn({
            let (store, record) = (Arc::clone(&store), noted(record.clone(), "1"));
            async move { store.save(&record).await.unwrap() }
        });
        stagger().await;
        let was_live = node.expire(record.id).await.unwrap();
        let seen = is_live(&store, record.id).await;
        let saved = saving.await.unwrap();
        assert_ne!(saved, Saved::Conflict, "nobody else saves");
        seen || !was_live || is_live(&node, record.id).await
    })
    .await;
    println!("rounds={rounds} revived={revived}");
    assert_eq!(revived, 0);
}

/// A touch in flight while the session is ended does not bring it back (T2, E2).
pub async fn an_end_beats_a_late_touch(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(500);
    let revived = in_lanes(rounds, nodes, |[store, node]| async move {
        let record = stored(&store, live()).await;
        let touching = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.touch(record.id, 1).await.unwrap() }
        });
        stagger().await;
        let was_live = node.expire(record.id).await.unwrap();
        let seen = is_live(&store, record.id).await;
        touching.await.unwrap();
        seen || !was_live || is_live(&node, record.id).await
    })
    .await;
    println!("rounds={rounds} revived={revived}");
    assert_eq!(revived, 0);
}

/// Of an end and a rotation of one session the first counts: a session that was ended does not
/// live on under its new id (R1, E2).
pub async fn an_end_beats_a_late_rotation(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(500);
    let wrong = in_lanes(rounds, nodes, |[store, node]| async move {
        let old = stored(&store, live()).await;
        let moved = Record {
            id: new_id(),
            ..old.clone()
        };
        let rotating = tokio::spawn({
            let (store, moved) = (Arc::clone(&store), moved.clone());
            async move { store.rotate(old.id, &moved, Age::Keep).await.unwrap() }
        });
        stagger().await;
        let was_live = node.expire(old.id).await.unwrap();
        let rotated = rotating.await.unwrap();
        let lives = is_live(&node, moved.id).await;
        let agree = match rotated {
            Saved::Stored(_) => lives && !was_live,
            Saved::Gone => was_live && !lives,
            Saved::Conflict => false,
        };
        !agree || is_live(&store, old.id).await
    })
    .await;
    println!("rounds={rounds} wrong={wrong}");
    assert_eq!(wrong, 0);
}

/// While an owner's sessions are saved, touched and rotated, ending them ends all that were
/// created before (O2).
pub async fn no_session_survives_the_end_of_its_owner(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(100);
    let survivors = in_lanes(rounds, nodes, |[store, node]| async move {
        let owner = new_id().to_string();
        let mut users = JoinSet::new();
        for _ in 0..4 {
            let record = stored(&store, owned(live(), &owner)).await;
            users.spawn(use_until_gone(Arc::clone(&store), record));
        }
        stagger().await;
        node.expire_owner(&owner, None).await.unwrap();
        let listed = node.list(&owner).await.unwrap().len();
        let mut survived = listed > 0;
        for id in users.join_all().await {
            survived |= is_live(&store, id).await;
        }
        survived
    })
    .await;
    println!("rounds={rounds} sessions=4 survivors={survivors}");
    assert_eq!(survivors, 0);
}

/// Saves, touches and rotates a session for as long as it lives, and at most 200 times.
async fn use_until_gone(store: Arc<impl SessionStore>, mut record: Record) -> SessionId {
    for step in 0..200 {
        let _ = store.touch(record.id, record.revision).await.unwrap();
        let old = record.id;
        let saved = if step % 2 == 0 {
            store.save(&record).await.unwrap()
        } else {
            record.id = new_id();
            store.rotate(old, &record, Age::Keep).await.unwrap()
        };
        let Saved::Stored(stamp) = saved else {
            record.id = old;
            break;
        };
        record = record.stored(stamp);
    }
    record.id
}
