//! The right to be a table's only sweeper.

use std::time::Duration;

use cloakroom_store_api::Error;
use cloakroom_store_postgres::{PostgresStore, SweepLock};

use crate::support::{fresh, migrated, node, number, server};

/// The server learns of a closed connection a little later.
async fn lock_in_time(store: &PostgresStore) -> Option<SweepLock> {
    for _ in 0..100 {
        if let Some(lock) = store.sweep_lock().await.unwrap() {
            return Some(lock);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

#[tokio::test]
async fn one_sweeper_has_the_lock_until_it_is_dropped() {
    let store = migrated(fresh()).await;
    let other = node(&store).await;
    let lock = store.sweep_lock().await.unwrap();
    assert!(lock.is_some());
    assert!(other.sweep_lock().await.unwrap().is_none());
    assert!(store.sweep_lock().await.unwrap().is_none());
    drop(lock);
    assert!(lock_in_time(&other).await.is_some());
}

#[tokio::test]
async fn the_lock_is_of_the_table_however_it_is_named() {
    let store = migrated(fresh()).await;
    let stranger = migrated(fresh()).await;
    let (_, table) = store.table().parts();
    let qualified = PostgresStore::builder(&server())
        .table(format!("public.{table}").parse().unwrap())
        .connect()
        .await
        .unwrap();
    let _lock = qualified
        .sweep_lock()
        .await
        .unwrap()
        .expect("nobody has it");
    assert!(store.sweep_lock().await.unwrap().is_none());
    assert!(stranger.sweep_lock().await.unwrap().is_some());
}

#[tokio::test]
async fn a_lock_of_no_table_is_an_error() {
    let store = fresh().connect().await.unwrap();
    let error = store.sweep_lock().await.unwrap_err();
    assert!(matches!(error, Error::Backend(_)), "{error:?}");
    assert!(format!("{error:?}").contains("NoTable"), "{error:?}");
}

/// It is held by an open transaction: that one must have no snapshot.
#[tokio::test]
async fn a_held_lock_keeps_no_vacuum_from_its_work() {
    let store = migrated(fresh()).await;
    let _lock = store.sweep_lock().await.unwrap().expect("nobody has it");
    let holders = format!(
        "select count(*) from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.objid = '{}'::regclass::oid",
        store.table()
    );
    assert_eq!(number(&holders).await, 1);
    let holding_back = format!("{holders} and a.backend_xmin is not null");
    assert_eq!(number(&holding_back).await, 0);
}

/// As a role may have them, lest somebody's transaction stays open.
#[tokio::test]
async fn a_limit_of_transactions_does_not_end_a_held_lock() {
    let store = migrated(fresh()).await;
    let url = format!(
        "{}?options[idle_in_transaction_session_timeout]=50",
        server()
    );
    let limited = PostgresStore::builder(&url).table(store.table().clone());
    let limited = limited.connect().await.unwrap();
    let _lock = limited.sweep_lock().await.unwrap().expect("nobody has it");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(store.sweep_lock().await.unwrap().is_none());
}
