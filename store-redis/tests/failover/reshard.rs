use cloakroom_store_api::{Age, Record, Saved, SessionStore};
use cloakroom_store_redis::RedisStore;

use crate::{
    own::{self, Own},
    support::{key, record, stored},
};

/// A key is at its old master, on its way, and at its new one: all calls find it.
#[tokio::test]
async fn a_session_survives_its_way_to_another_master() {
    let own = Own::start("redis-cluster", "CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let hosts: Vec<_> = own.hosts().map(str::to_owned).collect();
    let store = RedisStore::connect(&own.url).await.unwrap();
    let mut session = stored(&store, record()).await;
    let path = key(&store, session.id);
    let slot: usize = own::run(&hosts[0], &format!("CLUSTER KEYSLOT {path}")).await;
    // Each of the first three has a third of the slots.
    let (from, to) = (&hosts[slot / 5_461], &hosts[(slot / 5_461 + 1) % 3]);
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
        println!("{at}: revision={}", session.revision);
    }
    let moved = Record {
        id: record().id,
        ..session.clone()
    };
    let rotated = store.rotate(session.id, &moved, Age::Keep).await.unwrap();
    assert!(matches!(rotated, Saved::Stored(_)), "{rotated:?}");
}
