//! Masters that are killed, of servers of the tests' own: `scripts/with-servers` starts them.

mod moved;
mod own;
mod reshard;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, Record, Saved, SessionStore};
use cloakroom_store_redis::RedisStore;
use cloakroom_test_support::Stalls;
use tokio::task::JoinSet;

use crate::{
    own::Own,
    support::{key, owned, stored},
};

/// Longer than a failover takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What replication needs: it is not part of what is tested.
const REPLICATED: Duration = Duration::from_millis(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_master_of_a_cluster_is_replaced() {
    master_of_a_cluster_is_replaced("KILL").await;
}

/// Connections to it stay open, as to a machine that has lost its power.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_survives_a_silent_master() {
    master_of_a_cluster_is_replaced("STOP").await;
}

async fn master_of_a_cluster_is_replaced(signal: &str) {
    let own = Own::start("redis-cluster", "CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let hosts: Vec<_> = own.hosts().map(str::to_owned).collect();
    let store = RedisStore::connect(&own.url).await.unwrap();
    let mut sessions = Vec::new();
    let mut disturbed = BTreeSet::new();
    for _ in 0..60 {
        let session = stored(&store, owned("ann")).await;
        let slot = format!("CLUSTER KEYSLOT {}", key(&store, session.id));
        // The first of the three masters has the first third of the slots.
        if own::run::<u16>(&hosts[0], &slot).await <= 5460 {
            disturbed.insert(*session.id.as_bytes());
        }
        sessions.push(session);
    }
    tokio::time::sleep(REPLICATED).await;
    own::signal(signal, &own::process(&hosts[0]).await);

    let began = Instant::now();
    // The fourth is its replica.
    let promoted = tokio::spawn(promoted(hosts[3].clone()));
    let (mut worst, mut failed, mut elsewhere) = (Duration::ZERO, 0, 0);
    let stalls = Stalls::watched();
    loop {
        let mut calls = JoinSet::new();
        for session in sessions.drain(..) {
            let store = store.clone();
            calls.spawn(async move { used(&store, session).await });
        }
        let mut all = true;
        for (session, done, took) in calls.join_all().await {
            worst = worst.max(took);
            if !done {
                all = false;
                failed += 1;
                elsewhere += usize::from(!disturbed.contains(session.id.as_bytes()));
            }
            sessions.push(session);
        }
        if all {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "no failover");
    }
    let resumed = began.elapsed();
    let promoted = promoted.await.unwrap() - began;
    println!(
        "signal={signal} sessions=60 of_the_master={} failed={failed} failed_elsewhere={elsewhere} \
         worst_call_ms={} promoted_after_ms={} resumed_after_ms={} signed_out=0",
        disturbed.len(),
        worst.as_millis(),
        promoted.as_millis(),
        resumed.as_millis(),
    );
    assert!(!disturbed.is_empty());
    // Other shards are undisturbed, unless one of the two connections has to be replaced: then as long
    // as that takes, which each session meets once or twice.
    let others = sessions.len() - disturbed.len();
    assert!(elsewhere <= 2 * others, "{elsewhere}");
    let stalled = stalls.total();
    assert!(worst < Duration::from_secs(2) + stalled, "{worst:?}");
    let since = resumed.saturating_sub(promoted);
    assert!(since < Duration::from_secs(5) + stalled, "{since:?}");
}

/// When a replica has become a master.
async fn promoted(host: String) -> Instant {
    becomes(host, "role:master").await
}

/// When a server has another role.
async fn becomes(host: String, role: &str) -> Instant {
    while !own::run::<String>(&host, "INFO replication")
        .await
        .contains(role)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Instant::now()
}

/// As all servers are frozen, none answers the connection, whatever the reason may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_to_a_cluster_that_answers_nobody_is_replaced() {
    let own = Own::start("redis-cluster", "CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let hosts: Vec<_> = own.hosts().map(str::to_owned).collect();
    let store = RedisStore::connect(&own.url).await.unwrap();
    let session = stored(&store, owned("ann")).await;
    // The store has two connections to each master.
    for _ in 0..2 {
        store.load(session.id).await.unwrap().unwrap();
    }
    let mut processes = Vec::new();
    for host in &hosts {
        processes.push(own::process(host).await);
    }
    let before = clients(&hosts).await;
    assert!(before.len() >= 2, "{before:?}");
    tokio::time::sleep(REPLICATED).await;
    processes
        .iter()
        .for_each(|process| own::signal("STOP", process));
    let (mut frozen, mut longest) = (0, Duration::ZERO);
    let stalls = Stalls::watched();
    for _ in 0..4 {
        let began = Instant::now();
        frozen += u32::from(store.load(session.id).await.is_err());
        longest = longest.max(began.elapsed());
    }
    processes
        .iter()
        .for_each(|process| own::signal("CONT", process));
    let began = Instant::now();
    let mut found = 0;
    // By either connection.
    while found < 2 {
        let is_found = matches!(store.load(session.id).await, Ok(Some(_)));
        found = if is_found { found + 1 } else { 0 };
        assert!(began.elapsed() < PATIENCE, "it does not come back");
    }
    let after = clients(&hosts).await;
    let kept = before.intersection(&after).count();
    println!(
        "frozen={frozen} longest_ms={} resumed_after_ms={} connections={} kept={kept}",
        longest.as_millis(),
        began.elapsed().as_millis(),
        before.len(),
    );
    assert_eq!((frozen, kept), (4, 0));
    assert!(
        longest < Duration::from_secs(2) + stalls.total(),
        "{longest:?}"
    );
}

/// The connections of clients to these servers, by their addresses.
async fn clients(hosts: &[String]) -> BTreeSet<String> {
    let mut clients = BTreeSet::new();
    for host in hosts {
        let list: String = own::run(host, "CLIENT LIST TYPE normal").await;
        let addresses = list.lines().filter(|line| !line.contains("cmd=client"));
        clients.extend(addresses.map(|line| {
            let (_, address) = line.split_once("laddr=").unwrap();
            let (_, from) = line.split_once("addr=").unwrap();
            let word = |text: &str| text.split(' ').next().unwrap().to_owned();
            format!("{} to {}", word(from), word(address))
        }));
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_master_under_sentinel_is_replaced() {
    let own = Own::start("redis-sentinel", "CLOAKROOM_TEST_REDIS_SENTINEL_URL");
    let sentinel = own.hosts().next().unwrap();
    let store = RedisStore::connect(&own.url).await.unwrap();
    let mut session = stored(&store, owned("ann")).await;
    let asked = "SENTINEL get-master-addr-by-name cloakroom";
    let (host, port): (String, u16) = own::run(sentinel, asked).await;
    tokio::time::sleep(REPLICATED).await;
    own::kill(&format!("{host}:{port}")).await;

    let began = Instant::now();
    let (mut worst, mut failed) = (Duration::ZERO, 0);
    loop {
        let (used, done, took) = used(&store, session).await;
        session = used;
        worst = worst.max(took);
        if done {
            break;
        }
        failed += 1;
        assert!(began.elapsed() < PATIENCE, "no failover");
    }
    println!(
        "failed={failed} worst_call_ms={} resumed_after_ms={} signed_out=0",
        worst.as_millis(),
        began.elapsed().as_millis()
    );
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
    assert!(
        worst < Duration::from_secs(6),
        "the deadline is 5 s: {worst:?}"
    );
}

/// Loads and saves a session; says whether both could be done, and how long the longer one took.
async fn used(store: &RedisStore, session: Record) -> (Record, bool, Duration) {
    let began = Instant::now();
    let found = match store.load(session.id).await {
        Ok(found) => found.expect("nobody is taken for signed out"),
        Err(Error::Unavailable(_)) => return (session, false, began.elapsed()),
        Err(error) => panic!("{error:?}"),
    };
    let loaded = began.elapsed();
    let began = Instant::now();
    match store.save(&found).await {
        Ok(Saved::Stored(stamp)) => (found.stored(stamp), true, loaded.max(began.elapsed())),
        Ok(other) => panic!("nobody else saves: {other:?}"),
        Err(Error::Unavailable(_)) => (found, false, loaded.max(began.elapsed())),
        Err(error) => panic!("{error:?}"),
    }
}
