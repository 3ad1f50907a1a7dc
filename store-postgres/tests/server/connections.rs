//! Connections as the store finds them: a pool's, and those that nothing was said on for long.

use std::time::{Duration, Instant};

use cloakroom_store_api::SessionStore;
use cloakroom_store_postgres::PostgresStoreBuilder;
use cloakroom_test_support::{Proxy, Way};
use sqlx::{Executor, postgres::PgPoolOptions, raw_sql};
use tokio::task::JoinSet;

use crate::support::{address, by_way_of, fresh, migrated, record, server, stored};

/// As who calls `begin` and is dropped leaves a pool's connection (sqlx issue 4393).
#[tokio::test]
async fn what_a_pool_lends_inside_a_transaction_is_taken_out_of_it() {
    let other = migrated(fresh()).await;
    let mut seen = 0;
    for open in ["begin", "begin; select 1 / 0"] {
        let pool = PgPoolOptions::new().max_connections(1);
        let pool = pool.connect(&server()).await.unwrap();
        let mut lent = pool.acquire().await.unwrap();
        let is_aborted = lent.execute(raw_sql(open)).await.is_err();
        assert_eq!(is_aborted, open.ends_with('0'));
        drop(lent);
        let builder = PostgresStoreBuilder::from(pool).table(other.table().clone());
        let store = builder.connect().await.unwrap();
        let new = record();
        let answer = store.save(&new).await;
        println!("open={open:?} saved={}", answer.is_ok());
        seen += u32::from(answer.is_ok() && other.load(new.id).await.unwrap().is_some());
    }
    println!("saves=2 seen={seen}");
    assert_eq!(seen, 2);
}

/// As a router forgets connections, and tells nobody.
#[tokio::test]
async fn a_connection_that_hangs_when_it_is_asked_whether_it_lives_is_soon_replaced() {
    let proxy = Proxy::start(address(&server()).await).await;
    let pool = PgPoolOptions::new()
        .connect(&by_way_of(proxy.address()))
        .await
        .unwrap();
    let table = migrated(fresh()).await.table().clone();
    let builder = PostgresStoreBuilder::from(pool.clone()).table(table);
    let store = builder.connect().await.unwrap();
    let mut saves = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        saves.spawn(async move { stored(&store, record()).await });
    }
    let known = saves.join_all().await.remove(0);
    let idle = proxy.connections();
    assert!(idle > 1);
    pool.set_connect_options(server().parse().unwrap());
    proxy.set(Way::Silent);
    // From then on they are asked.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let began = Instant::now();
    let found = store.load(known.id).await;
    let took = began.elapsed();
    println!(
        "idle={idle} answered={} took_ms={}",
        found.is_ok(),
        took.as_millis()
    );
    assert!(found.unwrap().is_some());
    assert!(took < Duration::from_secs(2), "{took:?}");
}
