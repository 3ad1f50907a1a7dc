//! Statements that the server has forgotten.

use std::num::NonZeroU32;

use cloakroom_store_api::{Age, Record, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::{Postgres, Proxy};

use crate::support::{address, by_way_of, migrated, named, record, server, stored};

/// Makes every call.
async fn all_calls(store: &PostgresStore) {
    let known = stored(store, record()).await;
    assert!(store.load(known.id).await.unwrap().is_some());
    assert!(store.touch(known.id, 1).await.unwrap().is_some());
    let known = stored(store, known).await;
    let moved = Record {
        id: record().id,
        ..known.clone()
    };
    let _ = store.rotate(known.id, &moved, Age::Keep).await.unwrap();
    assert!(store.expire(moved.id).await.unwrap());
    assert!(store.list("ann").await.unwrap().is_empty());
    assert_eq!(store.expire_owner("ann", None).await.unwrap(), 0);
    assert!(!store.sweep(NonZeroU32::MIN).await.unwrap().more);
    store.stats().await.unwrap();
    store.ping().await.unwrap();
}

/// As a pooler between store and server may say.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statements_survive_discard_all() {
    let proxy = Proxy::start(address(&server()).await).await;
    let (builder, _) = named(&by_way_of(proxy.address()));
    let store = migrated(builder).await;
    let mut discards = 0;
    for _ in 0..10 {
        all_calls(&store).await;
        discards += proxy
            .say_aside(b"Q\0\0\0\x10DISCARD ALL\0", b"Z\0\0\0\x05I")
            .await;
    }
    all_calls(&store).await;
    println!("discards={discards} failed=0");
    assert!(discards >= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statements_survive_a_restarted_server() {
    let mut server = Postgres::start();
    let (builder, _) = named(&server.url());
    let store = migrated(builder).await;
    for _ in 0..2 {
        all_calls(&store).await;
        server.restart();
    }
    all_calls(&store).await;
}
