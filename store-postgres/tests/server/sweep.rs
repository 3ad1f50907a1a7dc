//! Sweeping what has been dead for long. The kit cannot wait for that.

use std::num::NonZeroU32;

use cloakroom_store_api::{Record, SessionId, SessionStore, Swept};
use cloakroom_store_postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::support::{fresh, migrated, node, record, run, stored};

const LIMIT: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// Stores sessions and makes them older by two hours.
async fn long_dead(store: &PostgresStore, count: usize) -> Vec<SessionId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(stored(store, record()).await.id);
    }
    let list: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
    run(&format!(
        "update {} set created_at = created_at - interval '2 hours',
            expires_at = expires_at - interval '2 hours', sweep_hour = sweep_hour - 2
        where id in ({})",
        store.table(),
        list.join(", ")
    ))
    .await;
    ids
}

#[tokio::test]
async fn what_is_long_dead_is_removed_in_steps() {
    let store = migrated(fresh()).await;
    let alive = stored(&store, record()).await;
    long_dead(&store, 20).await;
    assert_eq!(store.count_due().await.unwrap(), 20);
    let mut steps = Vec::new();
    loop {
        let Swept { removed, more } = store.sweep(LIMIT).await.unwrap();
        steps.push(removed);
        if !more {
            break;
        }
    }
    println!("steps={}", steps.len());
    assert_eq!(steps, [8, 8, 4]);
    assert!(store.load(alive.id).await.unwrap().is_some());
    assert_eq!(store.stats().await.unwrap().expired, 0);
    assert_eq!(store.count_due().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sweepers_at_once_count_each_session_once() {
    let store = migrated(fresh()).await;
    let nodes = [store.clone(), node(&store).await, node(&store).await];
    long_dead(&store, 200).await;
    let mut sweepers = JoinSet::new();
    for store in nodes {
        sweepers.spawn(async move {
            let mut removed = 0;
            for _ in 0..40 {
                removed += store.sweep(LIMIT).await.unwrap().removed;
            }
            removed
        });
    }
    let removed: u64 = sweepers.join_all().await.iter().sum();
    println!("dead=200 sweepers=3 removed={removed}");
    assert_eq!(removed, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_created_anew_over_a_long_dead_one_is_spared() {
    let store = migrated(fresh()).await;
    let other = node(&store).await;
    let (mut created, mut lost, mut swept) = (0, 0, 0);
    for _ in 0..100 {
        let ids = long_dead(&store, 8).await;
        let sweeping = tokio::spawn({
            let other = other.clone();
            async move { other.sweep(LIMIT).await.unwrap().removed }
        });
        let mut creators = JoinSet::new();
        for &id in &ids {
            let store = store.clone();
            creators.spawn(async move { stored(&store, Record { id, ..record() }).await });
        }
        creators.join_all().await;
        swept += sweeping.await.unwrap();
        for id in ids {
            created += 1;
            lost += u32::from(store.load(id).await.unwrap().is_none());
            store.expire(id).await.unwrap();
        }
    }
    println!("created={created} swept={swept} lost={lost}");
    assert!(swept > 0 && lost == 0);
}
