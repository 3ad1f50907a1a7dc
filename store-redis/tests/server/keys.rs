//! What is under which key, and until when.

use std::time::Duration;

use cloakroom_store_api::{Age, Error, Lifetime, Persistence, Record, Saved, SessionStore};
use cloakroom_store_redis::RedisStore;

use crate::support::{fresh, fresh_store, key, owned, owner_key, record, run, server, stored};

/// What the header says of the deadline, and when Redis ends the key, in milliseconds.
async fn deadlines(key: &str) -> (i64, i64) {
    let value: Vec<u8> = run(&format!("GETRANGE {key} 18 25")).await;
    let ends: i64 = run(&format!("PEXPIRETIME {key}")).await;
    (i64::from_be_bytes(value.try_into().unwrap()), ends)
}

/// By the record's own clock Redis ends it a millisecond before its deadline: what `PTTL` says is
/// left and what the store says remains are one apart, but for the time in between. That clock falls
/// behind by what passes between a script's `PTTL` and its write, on servers whose own goes on meanwhile.
#[tokio::test]
async fn every_write_leaves_an_expiry_a_millisecond_before_the_deadline() {
    let store = fresh_store().await;
    let created = stored(&store, record()).await;
    let path = key(&store, created.id);
    let (deadline, ends) = deadlines(&path).await;
    // How far the record's own clock is from the server's: what was estimated at creation.
    let apart = deadline - ends - 1;
    println!("record_clock_off_ms={apart}");
    assert!(apart.abs() < 1_000, "{apart}");
    let check = |deadline: i64, ends: i64, before: i64, what: &str| {
        let apart = deadline - ends - 1;
        assert!(
            (before.min(0) - 50..=before.max(0)).contains(&apart),
            "{what}: {before} {apart}"
        );
        apart
    };

    tokio::time::sleep(Duration::from_millis(20)).await;
    store.touch(created.id, 1).await.unwrap().unwrap();
    let (touched, ends) = deadlines(&path).await;
    assert!(touched >= deadline + 20);
    check(touched, ends, apart, "a touch");

    let saved = stored(&store, created).await;
    let (deadline, ends) = deadlines(&path).await;
    // By the server's clock, unless the machine is too busy for a save to be in time.
    let apart = check(deadline, ends, apart, "a save");

    let moved = Record {
        id: record().id,
        ..saved.clone()
    };
    let rotated = store.rotate(saved.id, &moved, Age::Restart).await.unwrap();
    assert!(matches!(rotated, Saved::Stored(_)));
    let (deadline, ends) = deadlines(&key(&store, moved.id)).await;
    check(deadline, ends, apart, "a rotation");
    assert_eq!(run::<u64>(&format!("EXISTS {path}")).await, 0);
}

#[tokio::test]
async fn the_shortest_life_is_no_error() {
    let store = fresh_store().await;
    let moment = Duration::from_millis(1);
    let mut brief = record();
    brief.lifetime = Lifetime::new(Persistence::Browser, moment, moment);
    stored(&store, brief.clone()).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(store.load(brief.id).await.unwrap(), None);
}

#[tokio::test]
async fn one_prefix_within_another_is_another() {
    let outer = fresh_store().await;
    let inner = format!("{}ab", outer.prefix()).parse().unwrap();
    let inner = fresh().prefix(inner).connect().await.unwrap();
    let sessions = [
        stored(&outer, owned("ann")).await,
        stored(&inner, owned("ann")).await,
    ];
    for (store, session) in [&outer, &inner].into_iter().zip(&sessions) {
        let listed = store.list("ann").await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id, session.id);
        assert_eq!(store.stats().await.unwrap().browser, 1);
    }
    assert_eq!(outer.expire_owner("ann", None).await.unwrap(), 1);
    assert!(inner.load(sessions[1].id).await.unwrap().is_some());
}

/// Whatever an owner is called, the index is nobody's session.
#[tokio::test]
async fn an_owner_named_like_a_session_is_no_session() {
    let store = fresh_store().await;
    let id = record().id;
    stored(&store, owned(&id.to_string())).await;
    assert_eq!(store.load(id).await.unwrap(), None);
    let _: Vec<Vec<u8>> = run(&format!(
        "ZRANGE {} 0 -1",
        owner_key(&store, &id.to_string())
    ))
    .await;
    assert_eq!(store.stats().await.unwrap().browser, 1);
}

#[tokio::test]
async fn a_key_of_another_type_is_corrupt_and_can_be_ended() {
    let store = fresh_store().await;
    let sound = stored(&store, owned("ann")).await;
    let strange = stored(&store, owned("ann")).await;
    let path = key(&store, strange.id);
    let _: u64 = run(&format!("DEL {path}")).await;
    let _: u64 = run(&format!("HSET {path} field value")).await;

    let moved = Record {
        id: record().id,
        ..strange.clone()
    };
    for failed in [
        store.load(strange.id).await.map(drop),
        store.save(&strange).await.map(drop),
        store.touch(strange.id, 1).await.map(drop),
        store.rotate(strange.id, &moved, Age::Keep).await.map(drop),
    ] {
        let Err(Error::Corrupt { id, .. }) = failed else {
            panic!("expected Corrupt, got {failed:?}");
        };
        assert_eq!(id, strange.id);
    }
    let taken = Record {
        revision: 0,
        ..strange.clone()
    };
    assert_eq!(store.save(&taken).await.unwrap(), Saved::Conflict);
    let onto = Record {
        id: strange.id,
        ..sound.clone()
    };
    assert_eq!(
        store.rotate(sound.id, &onto, Age::Keep).await.unwrap(),
        Saved::Conflict
    );
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
    assert_eq!(store.stats().await.unwrap().browser, 1);
    store.expire(strange.id).await.unwrap();
    assert_eq!(store.load(strange.id).await.unwrap(), None);
    assert_eq!(store.expire_owner("ann", None).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_cut_short_is_corrupt() {
    let store = fresh_store().await;
    for make in ["SET {} \u{1}", "SET {} spoiled"] {
        let session = stored(&store, owned("ann")).await;
        let path = key(&store, session.id);
        let _: redis::Value = run(&make.replace("{}", &path)).await;
        for failed in [
            store.load(session.id).await.map(drop),
            store.save(&session).await.map(drop),
            store.touch(session.id, 1).await.map(drop),
        ] {
            assert!(
                matches!(failed, Err(Error::Corrupt { .. })),
                "{make}: {failed:?}"
            );
        }
        store.list("ann").await.unwrap();
        store.expire(session.id).await.unwrap();
        assert_eq!(store.load(session.id).await.unwrap(), None);
    }
}

/// Redis judges, and is told to keep it for ever. There is no time of its own to reckon with.
#[tokio::test]
async fn what_never_expires_cannot_be_touched_and_does_once_it_is_saved() {
    let store = fresh_store().await;
    for knows_when_it_was_created in [true, false] {
        let session = stored(&store, owned("ann")).await;
        let path = key(&store, session.id);
        let _: u64 = run(&format!("PERSIST {path}")).await;
        let found = store.load(session.id).await.unwrap();
        let touched = store.touch(session.id, 1).await;
        assert!(matches!(touched, Err(Error::Corrupt { .. })), "{touched:?}");
        let found = Record {
            stamp: found
                .clone()
                .unwrap()
                .stamp
                .filter(|_| knows_when_it_was_created),
            ..found.unwrap()
        };
        let saved = stored(&store, found).await;
        let (deadline, ends) = deadlines(&path).await;
        let apart = deadline - ends - 1;
        println!("record_clock_off_ms={apart}");
        assert!(apart.abs() <= 50, "{apart}");
        assert!(store.touch(saved.id, 2).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_node_with_another_database_shares_nothing() {
    let store = fresh_store().await;
    let session = stored(&store, record()).await;
    let other = RedisStore::builder(&format!("{}/1", server())).prefix(store.prefix().clone());
    let other = other.connect().await.unwrap();
    assert_eq!(other.load(session.id).await.unwrap(), None);
}
