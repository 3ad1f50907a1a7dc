//! A store that is full.

use std::time::Duration;

use cloakroom_store_api::{Age, Error, ManualClock, Record, Saved, SessionStore};

use super::{record, stored};
use crate::MemoryStore;

#[tokio::test]
async fn a_full_store_refuses_new_sessions_and_drops_none() {
    let store = MemoryStore::builder().max_sessions(200).build();
    let mut records = Vec::new();
    for _ in 0..200 {
        records.push(stored(&store, record()).await);
    }
    let refused = store.save(&record()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");

    // Those that are there live on: they are saved, rotated and found.
    for (n, old) in records.iter().enumerate() {
        let saved = match n % 2 {
            0 => store.save(old).await.unwrap(),
            _ => {
                let new = Record {
                    id: record().id,
                    ..old.clone()
                };
                store.rotate(old.id, &new, Age::Keep).await.unwrap()
            }
        };
        assert!(matches!(saved, Saved::Stored(_)), "{saved:?}");
    }
    assert_eq!(store.stats().await.unwrap().browser, 200);
    assert!(store.save(&record()).await.is_err());

    assert!(store.expire(records[0].id).await.unwrap());
    stored(&store, record()).await;
    assert!(store.save(&record()).await.is_err());
}

#[tokio::test]
async fn a_full_store_has_room_where_sessions_have_died() {
    let clock = ManualClock::new();
    let store = MemoryStore::builder()
        .max_sessions(20)
        .clock(std::sync::Arc::new(clock.clone()))
        .build();
    for _ in 0..20 {
        stored(&store, record()).await;
    }
    assert!(store.save(&record()).await.is_err());
    clock.advance(Duration::from_hours(1));
    for _ in 0..20 {
        stored(&store, record()).await;
    }
    assert!(store.save(&record()).await.is_err());
}

#[tokio::test]
async fn the_bound_holds_against_many_creators() {
    let store = MemoryStore::builder().max_sessions(100).build();
    let mut creators = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        creators.spawn(async move {
            let mut stored = 0_u64;
            for _ in 0..50 {
                stored += u64::from(store.save(&record()).await.is_ok());
            }
            stored
        });
    }
    let stored: u64 = creators.join_all().await.iter().sum();
    println!("asked=800 bound=100 stored={stored}");
    assert_eq!(stored, 100);
    assert_eq!(store.stats().await.unwrap().browser, 100);
}

/// A rotation keeps its place: no creator takes it in between, nor is refused the last one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_bound_holds_against_rotations() {
    const ROTATING: usize = 8;
    for free in [0, 1] {
        let store = MemoryStore::builder().max_sessions(ROTATING + free).build();
        let mut sessions = Vec::new();
        for _ in 0..ROTATING {
            sessions.push(stored(&store, record()).await);
        }
        let mut rotating = tokio::task::JoinSet::new();
        for session in sessions {
            rotating.spawn(rotate_often(store.clone(), session));
        }
        let (mut asked, mut refused) = (0_u64, 0_u64);
        while !rotating.is_empty() {
            let guest = record();
            asked += 1;
            match store.save(&guest).await {
                Ok(_) => assert!(store.expire(guest.id).await.unwrap()),
                Err(_) => refused += 1,
            }
            while let Some(done) = rotating.try_join_next() {
                done.unwrap();
            }
            tokio::task::yield_now().await;
        }
        println!("free={free} asked={asked} refused={refused}");
        assert_eq!(refused, if free == 0 { asked } else { 0 });
        assert_eq!(store.stats().await.unwrap().browser, ROTATING as u64);
    }
}

async fn rotate_often(store: MemoryStore, mut session: Record) {
    for _ in 0..2_000 {
        let old = std::mem::replace(&mut session.id, record().id);
        let saved = store.rotate(old, &session, Age::Keep).await.unwrap();
        let Saved::Stored(stamp) = saved else {
            panic!("{saved:?}");
        };
        session = session.stored(stamp);
    }
}
