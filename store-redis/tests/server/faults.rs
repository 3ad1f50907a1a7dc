//! Callers that go away, and servers that do.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, Instant},
};

use cloakroom_store_api::{Age, Error, Record, Saved, SessionStore};
use cloakroom_test_support::{Callers, Stalls};
use tokio::task::JoinSet;

use crate::{
    servers::OwnServer,
    support::{fresh, owned, record, stored},
};

/// With one connection, an answer that is shifted reaches somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropped_calls_shift_nobodys_answer() {
    let store = fresh().connections(1).connect().await.unwrap();
    let (mut drops, mut invisible, mut foreign) = (0, 0, 0);
    for polls in 1..=6 {
        for _ in 0..25 {
            let old = stored(&store, owned("ann")).await;
            let moved = Record {
                id: record().id,
                ..old.clone()
            };
            let new = record();
            drops += dropped(polls, store.load(old.id)).await;
            drops += dropped(polls, store.save(&new)).await;
            drops += dropped(polls, store.touch(old.id, 1)).await;
            drops += dropped(polls, store.save(&old)).await;
            drops += dropped(polls, store.rotate(old.id, &moved, Age::Keep)).await;
            drops += dropped(polls, store.expire(old.id)).await;
            drops += dropped(polls, store.list("ann")).await;
            drops += dropped(polls, store.expire_owner("ann", None)).await;
            drops += dropped(polls, store.sweep(std::num::NonZeroU32::MIN)).await;
            drops += dropped(polls, store.stats()).await;
            drops += dropped(polls, store.ping()).await;
            let seen = stored(&store, record()).await;
            match store.load(seen.id).await.unwrap() {
                Some(found) => foreign += u32::from(found.id != seen.id || found.revision != 1),
                None => invisible += 1,
            }
        }
    }
    println!("drops={drops} acked_invisible={invisible} foreign_answers={foreign}");
    assert!(drops > 0);
    assert_eq!((invisible, foreign), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_the_server_ends_tear_nothing() {
    let own = OwnServer::start("").await;
    let store = own.fresh().connect().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut users = JoinSet::new();
    for _ in 0..16 {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        let mut record = stored(&store, record()).await;
        users.spawn(async move {
            let (mut loads, mut failed, mut saves, mut unknown) = (0, 0, 0, 0);
            while !stop.load(Relaxed) {
                let found = match store.load(record.id).await {
                    Ok(found) => found.expect("nobody ended the session"),
                    Err(Error::Unavailable(_)) => {
                        failed += 1;
                        continue;
                    }
                    Err(error) => panic!("{error:?}"),
                };
                // An answer that was lost may have been `Stored`.
                assert!(found.revision >= record.revision);
                record = found;
                loads += 1;
                match store.save(&record).await {
                    Ok(Saved::Stored(stamp)) => {
                        record = record.stored(stamp);
                        saves += 1;
                    }
                    Ok(other) => panic!("nobody else saves: {other:?}"),
                    Err(Error::Unavailable(_)) => unknown += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            [loads, failed, saves, unknown]
        });
    }
    let mut killed = 0;
    while killed < 1_000 {
        killed += own.run::<u64>("CLIENT KILL TYPE normal SKIPME yes").await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.store(true, Relaxed);
    let counts = users.join_all().await;
    let [loads, failed, saves, unknown] = std::array::from_fn(|n| {
        counts
            .iter()
            .map(|counts: &[u32; 4]| counts[n])
            .sum::<u32>()
    });
    println!(
        "killed={killed} loads={loads} failed_loads={failed} saves={saves} \
         unknown_saves={unknown} torn=0"
    );
    assert!(saves > 0);
}

const DEADLINE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_hangs_nobody() {
    let own = OwnServer::start("").await;
    let store = own.fresh().deadline(DEADLINE).connect().await.unwrap();
    let known = stored(&store, record()).await;
    own.signal("STOP");
    let stalls = Stalls::watched();
    let mut longest = Duration::ZERO;
    for _ in ["on open connections", "without any"] {
        let mut calls = JoinSet::new();
        for n in 0..200 {
            let (store, known) = (store.clone(), known.clone());
            calls.spawn(async move {
                let began = Instant::now();
                let failed = match n % 4 {
                    0 => store.load(known.id).await.unwrap_err(),
                    1 => store.save(&known).await.unwrap_err(),
                    2 => store.touch(known.id, 1).await.unwrap_err(),
                    _ => store.stats().await.unwrap_err(),
                };
                assert!(matches!(failed, Error::Unavailable(_)), "{failed:?}");
                began.elapsed()
            });
        }
        longest = longest.max(calls.join_all().await.into_iter().max().unwrap());
    }
    own.signal("CONT");
    let began = Instant::now();
    let found = loop {
        match store.load(known.id).await {
            Ok(found) => break found,
            Err(Error::Unavailable(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    let recovered = began.elapsed();
    println!(
        "calls=400 deadline_ms=500 longest_ms={} recovered_after_ms={}",
        longest.as_millis(),
        recovered.as_millis()
    );
    assert!(found.is_some(), "nobody is taken for signed out");
    let stalled = stalls.total();
    assert!(longest < 3 * DEADLINE + stalled, "{longest:?}");
    assert!(
        recovered < Duration::from_secs(1) + stalled,
        "{recovered:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_was_frozen_for_long_signs_nobody_out() {
    let deadline = Duration::from_secs(2);
    let own = OwnServer::start("").await;
    let store = own.fresh().deadline(deadline).connect().await.unwrap();
    let mut records = Vec::new();
    for _ in 0..200 {
        records.push(stored(&store, record()).await);
    }
    let store: Arc<dyn SessionStore> = Arc::new(store);
    let callers = Callers::start(&store, &records);
    own.signal("STOP");
    tokio::time::sleep(Duration::from_secs(10)).await;
    own.signal("CONT");
    callers.recover("frozen_s=10", deadline).await;
}

/// A server that keeps its data and comes back is not even noticed.
#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let mut own = OwnServer::start("--appendonly yes --appendfsync always").await;
    let store = own.fresh().connect().await.unwrap();
    let mut session = stored(&store, owned("ann")).await;
    let mut failed = 0;
    for _ in 0..3 {
        own.restart().await;
        failed += u32::from(store.load(session.id).await.is_err());
        match store.save(&session).await {
            Ok(Saved::Stored(stamp)) => session = session.stored(stamp),
            other => panic!("{other:?}"),
        }
        store
            .touch(session.id, session.revision)
            .await
            .unwrap()
            .unwrap();
    }
    println!("restarts=3 failed={failed}");
    assert_eq!(failed, 0);
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
    own.kill();
    assert!(matches!(
        store.load(session.id).await,
        Err(Error::Unavailable(_))
    ));
    own.restart().await;
    assert!(store.load(session.id).await.unwrap().is_some());
}

/// Polls at most this often, then drops the future; says whether it was not done.
async fn dropped<F: Future>(times: u32, future: F) -> u32 {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(move |context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(0),
            Poll::Pending if left == 0 => Poll::Ready(1),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
