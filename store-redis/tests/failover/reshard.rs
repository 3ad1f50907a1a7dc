use std::time::{Duration, Instant};

use cloakroom_store_api::{Age, Record, Saved, SessionStore};
use cloakroom_store_redis::RedisStore;
use tokio::time::sleep;

use crate::{
    PATIENCE,
    own::{self, Own},
    support::{key, record, stored},
};

#[tokio::test]
async fn a_session_survives_its_way_to_another_master() {
    let own = Own::start("redis-cluster", "CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let hosts: Vec<_> = own.hosts().map(str::to_owned).collect();
    let masters = [&hosts[1], &hosts[2], &hosts[0]];
    a_session_survives_its_way(&own, &hosts, masters).await;
}

/// As it has no slots, no connection to the cluster knows it yet.
#[tokio::test]
async fn a_session_survives_its_way_to_a_new_master() {
    let own = Own::start("redis-cluster", "CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let hosts: Vec<_> = own.hosts().map(str::to_owned).collect();
    // It was a replica.
    let new = &hosts[5];
    assert_eq!(own::run::<String>(new, "CLUSTER RESET").await, "OK");
    let (host, port) = hosts[0].rsplit_once(':').unwrap();
    let meet = format!("CLUSTER MEET {host} {port}");
    assert_eq!(own::run::<String>(new, &meet).await, "OK");
    let id: String = own::run(new, "CLUSTER MYID").await;
    for host in &hosts {
        until_a_master(host, &id).await;
    }
    until_whole(new).await;
    a_session_survives_its_way(&own, &hosts, [new; 3]).await;
}

/// Waits until a server knows all others, and one of them, or itself, as a master.
async fn until_a_master(host: &str, id: &str) {
    until(host, "CLUSTER NODES", |nodes| {
        let is_master = |line: &str| line.starts_with(id) && line.contains("master - ");
        nodes.lines().count() >= 6 && nodes.lines().any(is_master)
    })
    .await;
}

/// Waits until a server knows who has which slot.
async fn until_whole(host: &str) {
    let is_whole = |info: &str| {
        ["cluster_state:ok", "cluster_slots_ok:16384"]
            .iter()
            .all(|line| info.contains(line))
    };
    until(host, "CLUSTER INFO", is_whole).await;
}

async fn until(host: &str, command: &str, is_so: impl Fn(&str) -> bool) {
    let began = Instant::now();
    loop {
        let answer: String = own::run(host, command).await;
        if is_so(&answer) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{host}: {answer}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A key is at its old master, on its way, and at its new one: all calls find it. There is a new one
/// for each of the old.
async fn a_session_survives_its_way(own: &Own, hosts: &[String], masters: [&String; 3]) {
    let store = RedisStore::connect(&own.url).await.unwrap();
    let mut session = stored(&store, record()).await;
    let path = key(&store, session.id);
    let slot: usize = own::run(&hosts[0], &format!("CLUSTER KEYSLOT {path}")).await;
    // Each of the first three has a third of the slots.
    let (from, to) = (&hosts[slot / 5_461], masters[slot / 5_461]);
    let mut ids = Vec::new();
    for host in [from, to] {
        ids.push(own::run::<String>(host, "CLUSTER MYID").await);
    }
    let (_, port) = to.rsplit_once(':').unwrap();
    let set = format!("CLUSTER SETSLOT {slot}");
    for (at, commands) in [
        (
            "leaving",
            vec![
                (to, format!("{set} IMPORTING {}", ids[0])),
                (from, format!("{set} MIGRATING {}", ids[1])),
            ],
        ),
        (
            "on its way",
            vec![(from, format!("MIGRATE 127.0.0.1 {port} {path} 0 1000"))],
        ),
        (
            "there",
            vec![
                (to, format!("{set} NODE {}", ids[1])),
                (from, format!("{set} NODE {}", ids[1])),
            ],
        ),
    ] {
        for (host, command) in commands {
            assert_eq!(own::run::<String>(host, &command).await, "OK");
        }
        let began = Instant::now();
        // By each connection.
        for _ in 0..2 {
            let found = store.load(session.id).await.unwrap();
            assert_eq!(
                found.map(|found| found.revision),
                Some(session.revision),
                "{at}"
            );
        }
        session = stored(&store, session).await;
        let touched = store.touch(session.id, session.revision).await.unwrap();
        assert!(touched.is_some(), "{at}");
        let took = began.elapsed().as_millis();
        println!("{at}: revision={} ms={took}", session.revision);
    }
    let moved = Record {
        id: record().id,
        ..session.clone()
    };
    let rotated = store.rotate(session.id, &moved, Age::Keep).await.unwrap();
    assert!(matches!(rotated, Saved::Stored(_)), "{rotated:?}");
}
