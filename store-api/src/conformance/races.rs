//! Callers that meet.
//!
//! Rounds run sixteen at a time, each with tasks on two nodes, and print what they tried.

use std::{
    future::Future,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    HOUR, SOON, Subject, brief, is_live, live, loaded, new_id, noted, owned, rounds, stored,
    sweep::dead_sessions, two_nodes,
};
use crate::{Age, Record, Saved, SessionId, SessionStore};

/// Sixteen tasks count up one entry by compare-and-swap: every answer of `Stored` counts (S4).
pub async fn sixteen_writers_lose_nothing(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let id = stored(&nodes[0], noted(live(), "0")).await.id;
    let each = rounds(25);
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let store = Arc::clone(&nodes[writer % 2]);
        writers.spawn(async move {
            let mut conflicts = 0_u64;
            for _ in 0..each {
                loop {
                    let record = loaded(&store, id).await;
                    let count = count(&record) + 1;
                    tokio::task::yield_now().await;
                    match store
                        .save(&noted(record, &count.to_string()))
                        .await
                        .unwrap()
                    {
                        Saved::Stored(_) => break,
                        Saved::Conflict => conflicts += 1,
                        Saved::Gone => panic!("nobody ended the session"),
                    }
                }
            }
            conflicts
        });
    }
    let conflicts: u64 = writers.join_all().await.iter().sum();
    let acked = u64::from(16 * each);
    let found = loaded(&nodes[0], id).await;
    let lost = acked.abs_diff(count(&found));
    println!("acked={acked} conflicts={conflicts} lost={lost}");
    assert_eq!(lost, 0);
    assert_eq!(found.revision, acked + 1);
}

/// Nobody sweeps, and no session is served at its deadline or after (L3).
///
/// Where the clock is injected, each is still served a millisecond before.
pub async fn no_expired_session_is_served(subject: impl Subject) {
    let [store, node] = two_nodes(&subject).await;
    let millisecond = Duration::from_millis(1);
    let batches = rounds(256).div_ceil(256);
    let (mut early, mut served) = (0, 0);
    for _ in 0..batches {
        let mut records = Vec::new();
        for _ in 0..256 {
            records.push(stored(&store, brief()).await);
        }
        match subject.clock() {
            Some(clock) => {
                clock.advance(SOON - millisecond);
                for record in &records {
                    early += u32::from(!is_live(&node, record.id).await);
                }
                clock.advance(millisecond);
            }
            None => subject.pass(super::AFTER_SOON).await,
        }
        for record in records {
            served += u32::from(is_live(&node, record.id).await);
            served += u32::from(store.touch(record.id, 1).await.unwrap().is_some());
            served += u32::from(store.save(&record).await.unwrap() != Saved::Gone);
        }
    }
    println!("sessions={} early={early} served={served}", 256 * batches);
    assert_eq!((early, served), (0, 0));
}

/// Eight tasks create the same id at once: one is told `Stored` and its record is there (S1, S4).
pub async fn of_many_creators_one_wins(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(100);
    let wrong = in_lanes(rounds, nodes, |[store, node]| async move {
        let id = new_id();
        let mut creators = JoinSet::new();
        for creator in 0..8 {
            let store = Arc::clone(if creator % 2 == 0 { &store } else { &node });
            creators.spawn(async move {
                let record = noted(Record { id, ..live() }, &creator.to_string());
                (record.data.clone(), store.save(&record).await.unwrap())
            });
        }
        let answers = creators.join_all().await;
        let winners: Vec<_> = answers
            .iter()
            .filter(|(_, saved)| matches!(saved, Saved::Stored(_)))
            .collect();
        !matches!(&winners[..], [(data, _)] if *data == loaded(&store, id).await.data)
    })
    .await;
    println!("rounds={rounds} creators=8 wrong={wrong}");
    assert_eq!(wrong, 0);
}

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

/// A session that was touched at its last moment is not swept (W2).
pub async fn a_sweep_spares_a_touched_session(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(640).div_ceil(64);
    let (mut total, mut removed) = (0, 0);
    // Without an injected clock the session may have died since, on a slow machine: by clocks of
    // whole milliseconds up to one of them before its time.
    let is_timeless = subject.clock().is_some();
    let least = SOON - Duration::from_millis(1);
    let is_removed = async |id, asked: Instant| {
        let there = is_live(&nodes[1], id).await;
        !there && (is_timeless || asked.elapsed() < least)
    };
    for _ in 0..rounds {
        let began = Instant::now();
        let (mut records, mut touched) = (Vec::new(), Vec::new());
        for _ in 0..64 {
            records.push(stored(&nodes[0], brief()).await);
        }
        subject.due(&nodes[0]).await;
        match subject.clock() {
            Some(clock) => clock.advance(SOON - Duration::from_millis(1)),
            None => tokio::time::sleep(SOON.saturating_sub(began.elapsed()) * 3 / 4).await,
        }
        let sweeping = nodes.clone().map(|store| tokio::spawn(sweep_often(store)));
        for (n, record) in records.iter().enumerate() {
            if let (32, Some(clock)) = (n, subject.clock()) {
                clock.advance(Duration::from_millis(1));
            }
            let asked = Instant::now();
            if nodes[n % 2].touch(record.id, 1).await.unwrap().is_some() {
                touched.push((record.id, asked));
                removed += u32::from(is_removed(record.id, asked).await);
            }
        }
        for sweeping in sweeping {
            sweeping.await.unwrap();
        }
        // A sweeper that had judged one before it was touched has had its time.
        for (id, asked) in &touched {
            removed += u32::from(is_removed(*id, *asked).await);
        }
        total += touched.len();
    }
    println!("touched={total} removed_alive={removed}");
    assert_eq!(removed, 0);
}

/// A session created over a dead leftover is not swept with it (S1, W2).
pub async fn a_sweep_spares_a_session_created_anew(subject: impl Subject) {
    let [store, node] = two_nodes(&subject).await;
    let rounds = match subject.clock() {
        Some(_) => rounds(400),
        // Each round waits for its sessions to die.
        None => rounds(400).div_ceil(20),
    };
    let limit = NonZeroU32::new(8).expect("not zero");
    let (mut created, mut lost) = (0, 0);
    for _ in 0..rounds {
        let mut dead = Vec::new();
        for _ in 0..8 {
            dead.push(stored(&store, brief()).await.id);
        }
        match subject.clock() {
            Some(clock) => clock.advance(2 * HOUR),
            None => subject.pass(super::AFTER_SOON).await,
        }
        subject.due(&store).await;
        let creating = create_anew(Arc::clone(&node), dead.clone());
        // In one task, so that the creator runs whenever a sweeper waits.
        let (one, other, ()) = tokio::join!(store.sweep(limit), node.sweep(limit), creating);
        assert!(one.unwrap().removed + other.unwrap().removed <= 8);
        for id in dead {
            created += 1;
            lost += u32::from(!is_live(&store, id).await);
            store.expire(id).await.unwrap();
        }
    }
    println!("rounds={rounds} created={created} lost={lost}");
    assert_eq!(lost, 0);
}

/// Four sweepers at once remove together what is dead, once (W3).
pub async fn sweepers_do_not_count_twice(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    dead_sessions(&subject, &*nodes[0], 200).await;
    let alive = stored(&nodes[0], live()).await;
    let [store, node] = &nodes;
    let limit = NonZeroU32::new(7).expect("not zero");
    let mut removed = 0;
    for _ in 0..30 {
        // In one task, so that each begins before any has ended.
        let swept = tokio::join!(
            store.sweep(limit),
            node.sweep(limit),
            store.sweep(limit),
            node.sweep(limit)
        );
        for step in [swept.0, swept.1, swept.2, swept.3] {
            removed += step.unwrap().removed;
        }
    }
    println!("dead=200 sweepers=4 removed={removed}");
    assert!(removed <= 200);
    assert!(is_live(&nodes[0], alive.id).await);
}

async fn create_anew(store: Arc<impl SessionStore>, ids: Vec<SessionId>) {
    for id in ids {
        stored(&store, Record { id, ..live() }).await;
    }
}

async fn sweep_often(store: Arc<impl SessionStore>) {
    let limit = NonZeroU32::new(4).expect("not zero");
    for _ in 0..30 {
        stagger().await;
        let _ = store.sweep(limit).await.unwrap();
    }
}

fn count(record: &Record) -> u64 {
    let note = record.data.get("note").expect("the entry was written");
    note.parse().expect("a number")
}

/// Lets others go first, sometimes.
async fn stagger() {
    for _ in 0..fastrand::u32(0..6) {
        tokio::task::yield_now().await;
    }
}

/// Runs rounds, sixteen at a time; counts those that went wrong.
async fn in_lanes<S, F, Fut>(rounds: u32, nodes: [Arc<S>; 2], round: F) -> u32
where
    S: SessionStore,
    F: Fn([Arc<S>; 2]) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = bool> + Send,
{
    let mut lanes = JoinSet::new();
    for lane in 0..16 {
        let (nodes, round) = (nodes.clone(), round.clone());
        lanes.spawn(async move {
            let mut wrong = 0;
            for _ in (lane..rounds).step_by(16) {
                wrong += u32::from(round(nodes.clone()).await);
            }
            wrong
        });
    }
    lanes.join_all().await.iter().sum()
}
