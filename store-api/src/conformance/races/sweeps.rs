//! Sweepers that meet users, and each other.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::stagger;
use crate::{
    Record, SessionId, SessionStore,
    conformance::{
        AFTER_SOON, HOUR, SOON, Subject, brief, is_live, live, record, rounds, stored,
        sweep::dead_sessions, two_nodes,
    },
};

/// A session that was touched at its last moment is not swept (W2).
pub async fn a_sweep_spares_a_touched_session(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(640).div_ceil(64);
    let (mut done, mut total, mut removed) = (0, 0, 0);
    let is_timeless = subject.clock().is_some();
    // Without an injected clock long enough for a slow store to save 64 of them meanwhile.
    let lives = if is_timeless { SOON } else { 4 * SOON };
    // And the session may have died since, on a slow machine: by clocks of whole milliseconds up
    // to one of them before its time.
    let least = lives - Duration::from_millis(1);
    let is_removed = async |id, asked: Instant| {
        let there = is_live(&nodes[1], id).await;
        !there && (is_timeless || asked.elapsed() < least)
    };
    // Where nothing was touched in time, sweepers and users have not met.
    while done < rounds || total == 0 && done < 20 * rounds {
        done += 1;
        let began = Instant::now();
        let storing = (0..64).map(|_| store_for(lives, Arc::clone(&nodes[0])));
        let ids = storing.collect::<JoinSet<_>>().join_all().await;
        subject.due(&nodes[0]).await;
        match subject.clock() {
            Some(clock) => clock.advance(least),
            None => {
                let early = Duration::from_millis(fastrand::u64(..20));
                tokio::time::sleep((lives - early).saturating_sub(began.elapsed())).await;
            }
        }
        let sweeping = nodes.clone().map(|store| tokio::spawn(sweep_often(store)));
        let mut touched = Vec::new();
        for (half, ids) in ids.chunks(32).enumerate() {
            if let (1, Some(clock)) = (half, subject.clock()) {
                clock.advance(Duration::from_millis(1));
            }
            let calls = ids.iter().zip(nodes.iter().cycle());
            let touching = calls.map(|(id, node)| touch_now(Arc::clone(node), *id));
            let in_time = touching.collect::<JoinSet<_>>().join_all().await;
            for (id, asked) in in_time.into_iter().flatten() {
                touched.push((id, asked));
                removed += u32::from(is_removed(id, asked).await);
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
    assert!(total > 0 && removed == 0);
}

async fn store_for(idle: Duration, store: Arc<impl SessionStore>) -> SessionId {
    stored(&*store, record(idle, HOUR)).await.id
}

/// Touches a session, and says when that was asked for if it lived.
async fn touch_now(store: Arc<impl SessionStore>, id: SessionId) -> Option<(SessionId, Instant)> {
    let asked = Instant::now();
    let touched = store.touch(id, 1).await.unwrap();
    touched.map(|_| (id, asked))
}

async fn sweep_often(store: Arc<impl SessionStore>) {
    let limit = NonZeroU32::new(4).expect("not zero");
    for _ in 0..30 {
        let _ = store.sweep(limit).await.unwrap();
        stagger().await;
    }
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
            None => subject.pass(AFTER_SOON).await,
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

async fn create_anew(store: Arc<impl SessionStore>, ids: Vec<SessionId>) {
    for id in ids {
        stored(&store, Record { id, ..live() }).await;
    }
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
