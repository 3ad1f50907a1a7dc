//! The index of an owner's sessions.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use cloakroom_store_api::{Age, Error, Lifetime, Persistence, Record, Saved, SessionStore};
use cloakroom_store_redis::RedisStore;
use cloakroom_test_support::Way;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    resent::stores,
    support::{fresh_store, key, owned, owner_key, record, run, server, stored},
};

const HOUR: Duration = Duration::from_hours(1);

/// The server's time in milliseconds.
async fn now() -> i64 {
    let (seconds, micros): (i64, i64) = run("TIME").await;
    seconds * 1000 + micros / 1000
}

fn of_absolute(absolute: Duration) -> Record {
    Record {
        lifetime: Lifetime::new(Persistence::Browser, HOUR, absolute),
        ..owned("ann")
    }
}

#[tokio::test]
async fn an_index_outlives_its_last_session_by_an_hour_and_no_touch_moves_it() {
    let store = fresh_store().await;
    let index = owner_key(&store, "ann");
    let before = now().await;
    let long = stored(&store, of_absolute(5 * HOUR)).await;
    stored(&store, of_absolute(2 * HOUR)).await;
    let after = now().await;
    let ends: i64 = run(&format!("PEXPIRETIME {index}")).await;
    let six = i64::try_from((6 * HOUR).as_millis()).unwrap();
    assert!((before + six..=after + six).contains(&ends));

    store.touch(long.id, 1).await.unwrap().unwrap();
    stored(&store, long).await;
    let same: i64 = run(&format!("PEXPIRETIME {index}")).await;
    assert_eq!(ends, same);
}

#[tokio::test]
async fn entries_go_by_their_score_only() {
    let store = fresh_store().await;
    let index = owner_key(&store, "ann");
    let hour = i64::try_from(HOUR.as_millis()).unwrap();
    let (long_dead, just_dead) = (now().await - 25 * hour, now().await - 23 * hour);
    let _: u64 = run(&format!(
        "ZADD {index} {long_dead} 0123456789abcdef {just_dead} fedcba9876543210"
    ))
    .await;
    let session = stored(&store, owned("ann")).await;
    let left: Vec<Vec<u8>> = run(&format!("ZRANGE {index} 0 -1")).await;
    assert_eq!(left, [&b"fedcba9876543210"[..], session.id.as_bytes()]);
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
}

/// A save reads as much of the record that it replaces as most owners need, and more if it has to.
#[tokio::test]
async fn a_session_passes_from_any_owner_to_any_other() {
    let store = fresh_store().await;
    let owners: Vec<_> = [0, 1, 31, 32, 33, 255, 256]
        .into_iter()
        .flat_map(|length| ["a", "b"].map(|letter| letter.repeat(length)))
        .collect();
    let owner = |name: &str| (!name.is_empty()).then(|| name.parse().unwrap());
    let (mut passed, mut wrong) = (0, 0);
    for from in &owners {
        for to in &owners {
            let session = Record {
                owner: owner(from),
                ..owned("ann")
            };
            let mut session = stored(&store, session).await;
            session.owner = owner(to);
            let session = stored(&store, session).await;
            for name in [from, to].into_iter().filter(|name| !name.is_empty()) {
                let listed = store.list(name).await.unwrap();
                let is_listed = listed.iter().any(|one| one.id == session.id);
                wrong += u32::from(is_listed != (name == to));
            }
            let found = store.load(session.id).await.unwrap().unwrap();
            wrong += u32::from(found.owner != session.owner);
            store.expire(session.id).await.unwrap();
            passed += 1;
        }
    }
    println!("passed={passed} wrong={wrong}");
    assert_eq!(wrong, 0);
    // None is left in an index that its session is no more in.
    for name in owners.iter().filter(|name| !name.is_empty()) {
        let entries: Vec<Vec<u8>> = run(&format!("ZRANGE {} 0 -1", owner_key(&store, name))).await;
        assert!(entries.is_empty(), "{name}");
    }
}

/// However often sessions come and go, the index has those that are there.
#[tokio::test]
async fn nothing_leaks() {
    let store = fresh_store().await;
    let index = owner_key(&store, "ann");
    for _ in 0..20 {
        let first = stored(&store, owned("ann")).await;
        let moved = Record {
            id: owned("ann").id,
            ..first.clone()
        };
        let _ = store
            .rotate(first.id, &moved, cloakroom_store_api::Age::Keep)
            .await
            .unwrap();
        let second = stored(&store, owned("ann")).await;
        let _ = stored(
            &store,
            Record {
                owner: None,
                ..second
            },
        )
        .await;
        assert!(store.expire(moved.id).await.unwrap());
    }
    let left: u64 = run(&format!("ZCARD {index}")).await;
    println!("sessions=40 entries_left={left}");
    assert_eq!(left, 0);
}

/// The index names one that is not there, and at each look others that are new.
#[tokio::test]
async fn a_list_comes_to_its_end_while_sessions_are_stored() {
    let (proxy, store, direct) = stores().await;
    let dead = stored(&direct, owned("ann")).await;
    let _: u64 = run(&format!("DEL {}", key(&direct, dead.id))).await;
    proxy.set(Way::Slow(Duration::from_millis(20)));
    let storing = tokio::spawn(async move {
        loop {
            stored(&direct, owned("ann")).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let began = Instant::now();
    let listed = store.list("ann").await;
    let took = began.elapsed();
    storing.abort();
    println!(
        "listed={:?} ms={}",
        listed.as_ref().map(Vec::len),
        took.as_millis()
    );
    assert!(!listed.unwrap().is_empty());
}

/// A longer absolute timeout moves the score, so that the index does not lose the session.
#[tokio::test]
async fn a_session_that_may_live_longer_stays_in_the_index() {
    let store = fresh_store().await;
    let session = stored(&store, of_absolute(2 * HOUR)).await;
    let index = owner_key(&store, "ann");
    let before: i64 = run(&format!("PEXPIRETIME {index}")).await;
    let longer = Record {
        lifetime: Lifetime::new(Persistence::Persistent, HOUR, 4 * HOUR),
        ..session
    };
    stored(&store, longer).await;
    let after: i64 = run(&format!("PEXPIRETIME {index}")).await;
    let two = i64::try_from((2 * HOUR).as_millis()).unwrap();
    assert!(after >= before + two, "{before} {after}");
}

#[tokio::test]
async fn an_index_of_another_type_is_an_error_of_its_owner_only() {
    let store = fresh_store().await;
    let _: String = run(&format!("SET {} x", owner_key(&store, "ann"))).await;
    store.list("ann").await.unwrap_err();
    let new = owned("ann");
    store.save(&new).await.unwrap_err();
    assert_eq!(store.load(new.id).await.unwrap(), None);
    store.expire_owner("ann", None).await.unwrap_err();
    let bobs = stored(&store, owned("bob")).await;
    assert_eq!(store.list("bob").await.unwrap().len(), 1);
    let moved = Record {
        id: record().id,
        owner: new.owner,
        ..bobs.clone()
    };
    let refused = store.rotate(bobs.id, &moved, Age::Keep).await;
    assert!(matches!(refused, Err(Error::Backend(_))), "{refused:?}");
    assert_eq!(store.list("bob").await.unwrap().len(), 1);
}

/// A rotation that is refused leaves nothing, and one that is not leaves nothing of the old session.
#[tokio::test]
async fn an_index_has_what_was_rotated() {
    let store = fresh_store().await;
    let session = stored(&store, owned("ann")).await;
    let moved = |owner| Record {
        owner: owned(owner).owner,
        id: record().id,
        ..session.clone()
    };
    let stale = Record {
        revision: 7,
        ..moved("ann")
    };
    let refused = store.rotate(session.id, &stale, Age::Keep).await.unwrap();
    assert_eq!(refused, Saved::Conflict);
    let unknown = store.rotate(record().id, &moved("ann"), Age::Keep).await;
    assert_eq!(unknown.unwrap(), Saved::Gone);
    let entries = async |owner| {
        let entries: Vec<Vec<u8>> = run(&format!("ZRANGE {} 0 -1", owner_key(&store, owner))).await;
        entries
    };
    assert_eq!(entries("ann").await, [session.id.as_bytes()]);

    let anns = moved("ann");
    let rotated = store.rotate(session.id, &anns, Age::Keep).await.unwrap();
    let Saved::Stored(stamp) = rotated else {
        panic!("nobody else rotates");
    };
    assert_eq!(entries("ann").await, [anns.id.as_bytes()]);
    let bobs = moved("bob");
    let anns = anns.stored(stamp);
    let bobs = Record {
        revision: anns.revision,
        ..bobs
    };
    let rotated = store.rotate(anns.id, &bobs, Age::Keep).await.unwrap();
    assert!(matches!(rotated, Saved::Stored(_)), "{rotated:?}");
    assert!(entries("ann").await.is_empty());
    assert_eq!(entries("bob").await, [bobs.id.as_bytes()]);
}

/// Its clock may have been set since the process has asked it.
#[tokio::test]
async fn an_index_goes_by_the_servers_clock() {
    const BEHIND: Duration = Duration::from_hours(72);
    let store = fresh_store().await;
    let late = format!("redis://{}", told_wrong(BEHIND).await);
    let late = RedisStore::builder(&late).prefix(store.prefix().clone());
    let session = stored(&late.connect().await.unwrap(), owned("ann")).await;
    stored(&store, owned("ann")).await;
    assert_eq!(store.list("ann").await.unwrap().len(), 2);
    assert_eq!(store.expire_owner("ann", None).await.unwrap(), 2);
    assert_eq!(store.load(session.id).await.unwrap(), None);
}

/// The address of a server that says it is earlier than it is.
async fn told_wrong(behind: Duration) -> SocketAddr {
    const TIME: &str = "*2\r\n$10\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let real = server().trim_start_matches("redis://").to_owned();
            let (mut answers, mut asked) = TcpStream::connect(real).await.unwrap().into_split();
            let (mut asks, mut told) = client.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut asks, &mut asked).await });
            tokio::spawn(async move {
                let mut bytes = vec![0; 65_536];
                while let Ok(length @ 1..) = answers.read(&mut bytes).await {
                    let answer = &mut bytes[..length];
                    if answer.starts_with(TIME.as_bytes()) {
                        let seconds = &mut answer[TIME.len()..][..10];
                        let real: u64 = str::from_utf8(seconds).unwrap().parse().unwrap();
                        let wrong = (real - behind.as_secs()).to_string();
                        seconds.copy_from_slice(wrong.as_bytes());
                    }
                    told.write_all(answer).await.unwrap();
                }
            });
        }
    });
    address
}
