//! Callers that go away, and connections that are ended.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use cloakroom_store_api::{Age, Error, Record, Saved, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use crate::support::{connection, migrated, number, record, server, stored, unique_table};

/// A store whose connections can be told from others, by the name that they give.
async fn named(name: &str) -> PostgresStore {
    let url = format!("{}?application_name={name}", server());
    migrated(PostgresStore::builder(&url).table(unique_table())).await
}

async fn connections(name: &str, and: &str) -> i64 {
    number(&format!(
        "select count(*) from pg_stat_activity where application_name = '{name}' {and}"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropped_calls_leave_no_transaction_and_no_place_taken() {
    let name = format!("drops_{:x}", fastrand::u64(..));
    let store = named(&name).await;
    let mut drops = 0;
    for polls in 1..=4 {
        for _ in 0..25 {
            let old = stored(&store, record()).await;
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
            drops += dropped(polls, store.migrate()).await;
        }
    }
    let mut invisible = 0;
    for _ in 0..50 {
        let record = stored(&store, record()).await;
        let seen = store.load(record.id).await.unwrap();
        invisible += u32::from(seen.is_none_or(|seen| seen.id != record.id));
    }
    let open = connections(&name, "and state like 'idle in transaction%'").await;
    let all = connections(&name, "").await;
    println!("drops={drops} open_txns={open} connections={all} acked_invisible={invisible}");
    assert!(drops > 0);
    assert_eq!((open, invisible), (0, 0));
    assert!(all <= 8);
}

/// With one connection, one that is lost would be the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_of_one_connection_loses_it_never() {
    let url = server();
    let builder = PostgresStore::builder(&url).table(unique_table());
    let store = migrated(builder.pool_size(1)).await;
    let mut drops = 0;
    for polls in 1..=3 {
        for _ in 0..50 {
            drops += dropped(polls, store.save(&record())).await;
            drops += dropped(polls, store.stats()).await;
        }
    }
    let mut saves = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        saves.spawn(async move { stored(&store, record()).await });
    }
    let saved = saves.join_all().await.len();
    println!("drops={drops} saved={saved}");
    assert_eq!(saved, 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_the_server_ends_tear_nothing() {
    let name = format!("kills_{:x}", fastrand::u64(..));
    let store = named(&name).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut users = JoinSet::new();
    for _ in 0..16 {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        users.spawn(async move {
            let mut record = stored(&store, record()).await;
            let (mut loads, mut failed, mut saves, mut unknown) = (0, 0, 0, 0);
            while !stop.load(Relaxed) {
                let found = match store.load(record.id).await {
                    Ok(found) => found.expect("nobody ended the session"),
                    // The connections of all its tries were ended.
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
    let kill = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name = '{name}' and random() < 0.5"
    );
    let mut administrator = connection().await;
    for _ in 0..50 {
        killed += sqlx::query_scalar::<_, i64>(AssertSqlSafe(kill.clone()))
            .fetch_one(&mut administrator)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
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
    assert!(killed > 0 && saves > 0);
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
