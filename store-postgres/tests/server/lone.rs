//! Calls that meet no other: their callers send them.

use std::{pin::pin, time::Duration};

use cloakroom_store_api::{Error, Record, Saved, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::{Proxy, Way, done_after_a_poll, dropped_after};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    errors::words,
    support::{
        address, by_way_of, connection, connections, fresh, migrated, named, record, server,
        serving, stored,
    },
};

/// A store so far from its server that no call is done at once.
async fn far_away(connections: usize) -> (Proxy, PostgresStore, String) {
    let proxy = Proxy::start(address(&server()).await).await;
    let (builder, name) = named(&by_way_of(proxy.address()));
    let store = migrated(builder.pool_size(connections)).await;
    proxy.set(Way::Slow(Duration::from_millis(1)));
    (proxy, store, name)
}

/// A task takes over what a caller has dropped: what was asked comes to its end, and its connection is
/// kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_call_that_is_dropped_costs_no_connection() {
    let (_proxy, store, name) = far_away(8).await;
    let mut known = stored(&store, record()).await;
    let mut pids = serving(&name).await;
    let (mut dropped, mut torn) = (0, 0);
    for round in 0..100 {
        let save = store.save(&known);
        dropped += u32::from(dropped_after(1 + round % 3, save).await);
        let before = known.revision;
        known = store.load(known.id).await.unwrap().unwrap();
        torn += u32::from(![before, before + 1].contains(&known.revision));
        pids.extend(serving(&name).await);
    }
    println!("dropped={dropped} torn={torn} connections={}", pids.len());
    assert!(dropped > 90, "{dropped}");
    assert_eq!(torn, 0);
    // A call may begin before the one that was dropped has ended: then there are a few.
    assert!(pids.len() <= 8, "{} connections", pids.len());
}

/// Callers who have begun calls and do not go on with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_call_that_nobody_polls_holds_up_nobody_else() {
    let (_proxy, store, _) = far_away(3).await;
    // So that the statement is prepared, and what is on its way is its run.
    let known = stored(&store, record()).await;
    let known = stored(&store, known).await;
    let (save, load) = (store.save(&known), store.load(known.id));
    let (mut save, mut load) = (pin!(save), pin!(load));
    assert!(!done_after_a_poll(save.as_mut()).await && !done_after_a_poll(load.as_mut()).await);

    let mut others = JoinSet::new();
    for _ in 0..16 {
        let (store, known) = (store.clone(), known.clone());
        others.spawn(async move {
            let mut other = stored(&store, record()).await;
            for _ in 0..10 {
                other = stored(&store, other).await;
                assert!(store.load(known.id).await.unwrap().is_some());
            }
            // The same session: the row is nobody's, whether or not the answer was fetched.
            let saved = store
                .save(&Record {
                    revision: 9,
                    ..known
                })
                .await
                .unwrap();
            assert!(matches!(saved, Saved::Conflict), "{saved:?}");
        });
    }
    let others = timeout(Duration::from_secs(4), others.join_all()).await;
    println!("callers=16 calls=22 held_up={}", u32::from(others.is_err()));
    others.expect("they have the other connections");
    assert!(matches!(save.await.unwrap(), Saved::Stored(_)));
    assert!(load.await.unwrap().is_some());
}

/// A caller who comes back to its call after the deadline, or goes away then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_call_is_not_sent_after_its_deadline() {
    let proxy = Proxy::start(address(&server()).await).await;
    let deadline = Duration::from_millis(400);
    let patient = migrated(fresh()).await;
    let mut ended = 0;
    for is_dropped in [false, true] {
        for _ in 0..4 {
            // The statement is prepared first, and that takes its time.
            let store = node(&patient, &proxy, deadline).await;
            let known = stored(&patient, record()).await;
            proxy.set(Way::Slow(Duration::from_millis(20)));
            let mut end = Box::pin(store.expire(known.id));
            assert!(!done_after_a_poll(end.as_mut()).await);
            tokio::time::sleep(deadline + Duration::from_millis(50)).await;
            if is_dropped {
                drop(end);
            } else {
                let late = end.await;
                assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
            }
            proxy.set(Way::Open);
            tokio::time::sleep(Duration::from_millis(50)).await;
            ended += u32::from(patient.load(known.id).await.unwrap().is_none());
        }
    }
    println!("late=8 ended={ended}");
    assert_eq!(ended, 0);
}

/// The same table by another store, which has prepared nothing yet.
async fn node(store: &PostgresStore, proxy: &Proxy, deadline: Duration) -> PostgresStore {
    let builder = PostgresStore::builder(&by_way_of(proxy.address()));
    let builder = builder.table(store.table().clone()).deadline(deadline);
    builder.connect().await.unwrap()
}

/// Calls that each meet no other find the same row locked, one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_for_a_locked_row_keep_no_place_of_others_who_wait() {
    let (builder, name) = named(&server());
    let store = migrated(builder).await;
    let table = store.table();
    let locked = stored(&store, record()).await;
    let other = stored(&store, record()).await;
    let (mut holder, mut brief) = (connection().await, connection().await);
    let lock = |id| AssertSqlSafe(format!("select from {table} where id = '{id}' for update"));
    let mut long = holder.begin().await.unwrap();
    long.execute(lock(locked.id)).await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..6 {
        let (store, id) = (store.clone(), locked.id);
        waiting.spawn(async move { store.touch(id, 1).await });
        // Once one has left the lane, where it may wait 50 ms, no other of that row goes alone.
        let patient = "and wait_event_type = 'Lock'
            and clock_timestamp() - query_start > interval '100 ms'";
        while connections(&name, patient).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut short = brief.begin().await.unwrap();
    short.execute(lock(other.id)).await.unwrap();
    let touch = tokio::spawn({
        let (store, id) = (store.clone(), other.id);
        async move { store.touch(id, 1).await }
    });
    tokio::time::sleep(Duration::from_millis(120)).await;
    short.rollback().await.unwrap();
    let touched = timeout(Duration::from_secs(3), touch).await;
    println!("waiting=6 held_up={}", u32::from(touched.is_err()));
    let touched = touched.expect("its row is free").unwrap();
    assert!(touched.unwrap().is_some());
    long.rollback().await.unwrap();
    for touched in waiting.join_all().await {
        assert!(touched.unwrap().is_some());
    }
}

/// As on a thread that somebody blocks.
#[tokio::test]
async fn a_call_that_is_late_before_it_is_sent_is_said_to_be_late() {
    let deadline = Duration::from_millis(500);
    // Its calls wait to be sent: none goes alone.
    let builder = fresh().pool_size(1).deadline(deadline);
    let store = builder.connect().await.unwrap();
    let mut load = pin!(store.load(record().id));
    assert!(!done_after_a_poll(load.as_mut()).await);
    std::thread::sleep(deadline + Duration::from_millis(10));
    // Who sends it finds out first.
    tokio::task::yield_now().await;
    let late = load.await.unwrap_err();
    println!("{late:?}");
    assert!(words(&late).contains("no answer within 500ms"), "{late:?}");
}
