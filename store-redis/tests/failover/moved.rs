//! What a connection to a cluster is taken for, after its masters have changed.

use std::time::Duration;

use cloakroom_store_api::{Record, SessionStore};
use cloakroom_store_redis::RedisStore;
use tokio::task::JoinSet;

use crate::{
    PATIENCE, REPLICATED, becomes,
    own::{self, Own},
    support::{key, owned, stored},
};

/// The slots have the master that they had when the connections were opened, which have followed them
/// to another meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_takes_over_again_is_found() {
    let own = Own::start("redis-cluster", "CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let hosts: Vec<_> = own.hosts().map(str::to_owned).collect();
    let store = RedisStore::connect(&own.url).await.unwrap();
    let session = session_of_the_first_master(&store, &hosts[0]).await;
    tokio::time::sleep(REPLICATED).await;
    assert_eq!(
        own::run::<String>(&hosts[3], "CLUSTER FAILOVER").await,
        "OK"
    );
    becomes(hosts[3].clone(), "role:master").await;
    becomes(hosts[0].clone(), "role:slave").await;
    // By either connection.
    let mut followed = 0;
    while followed < 4 {
        followed += u32::from(matches!(store.load(session.id).await, Ok(Some(_))));
    }
    tokio::time::sleep(REPLICATED).await;
    own::signal("STOP", &own::process(&hosts[3]).await);
    let began = becomes(hosts[0].clone(), "role:master").await;
    let (mut found, mut failed) = (0, 0);
    while found < 2 {
        let is_found = matches!(store.load(session.id).await, Ok(Some(_)));
        found = if is_found { found + 1 } else { 0 };
        failed += u32::from(!is_found);
        assert!(began.elapsed() < PATIENCE, "it is not found");
    }
    let resumed = began.elapsed().as_millis();
    println!("failed={failed} resumed_after_ms={resumed}");
}

/// Whether the connection is of any use is asked once or twice for all whose answers are lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_dies_with_many_calls_is_no_burden_to_others() {
    let own = Own::start("redis-cluster", "CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let hosts: Vec<_> = own.hosts().map(str::to_owned).collect();
    let store = RedisStore::connect(&own.url).await.unwrap();
    let session = session_of_the_first_master(&store, &hosts[0]).await;
    // By either connection.
    for _ in 0..2 {
        store.load(session.id).await.unwrap().unwrap();
    }
    let process = own::process(&hosts[0]).await;
    let before = asked_for_slots(&hosts[1]).await;
    own::signal("STOP", &process);
    let mut calls = JoinSet::new();
    for _ in 0..300 {
        let (store, id) = (store.clone(), session.id);
        calls.spawn(async move { store.load(id).await.is_ok() });
    }
    // All are on their way.
    tokio::time::sleep(Duration::from_millis(90)).await;
    own::signal("KILL", &process);
    // Before the first of them is sent again.
    tokio::time::sleep(Duration::from_millis(15)).await;
    let asked = asked_for_slots(&hosts[1]).await - before;
    calls.join_all().await;
    println!("calls=300 asked_for_slots={asked}");
    assert!(asked <= 30, "{asked}");
}

/// How often a server was asked who has which slots.
async fn asked_for_slots(host: &str) -> u32 {
    let info: String = own::run(host, "INFO commandstats").await;
    let count = info.lines().find_map(|line| {
        let (_, rest) = line.split_once("cluster|slots:calls=")?;
        rest.split(',').next()?.parse().ok()
    });
    count.unwrap_or(0)
}

/// The first of the three masters has the first third of the slots.
async fn session_of_the_first_master(store: &RedisStore, host: &str) -> Record {
    loop {
        let session = stored(store, owned("ann")).await;
        let slot = format!("CLUSTER KEYSLOT {}", key(store, session.id));
        if own::run::<u16>(host, &slot).await <= 5460 {
            return session;
        }
    }
}
