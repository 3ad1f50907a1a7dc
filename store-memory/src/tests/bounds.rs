//! A store that is full.

use std::{sync::Barrier, thread, time::Duration};

use cloakroom_store_api::{Age, Error, ManualClock, Record, Saved, SessionStore};

use super::{record, runtime, stored};
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

/// In many rounds: a count in two steps goes wrong only where two creators are a few instructions
/// apart. One was noticed in the first four rounds, each of 20 times.
#[test]
fn the_bound_holds_against_many_creators() {
    const CREATORS: usize = 16;
    const SESSIONS: usize = 1_000;
    const BOUND: usize = CREATORS * SESSIONS - 500;
    let rounds = 10;
    let records: Vec<_> = (0..CREATORS * SESSIONS).map(|_| record()).collect();
    for _ in 0..rounds {
        let store = MemoryStore::builder().max_sessions(BOUND).build();
        let begin = Barrier::new(CREATORS);
        let create = &|records: &[Record]| {
            let runtime = runtime();
            begin.wait();
            let saved = records
                .iter()
                .map(|record| runtime.block_on(store.save(record)));
            saved.filter(Result::is_ok).count()
        };
        let stored: usize = thread::scope(|scope| {
            let parts = records.chunks(SESSIONS);
            let creators: Vec<_> = parts
                .map(|part| scope.spawn(move || create(part)))
                .collect();
            creators
                .into_iter()
                .map(|creator| creator.join().unwrap())
                .sum()
        });
        assert_eq!(stored, BOUND);
        let stats = runtime().block_on(store.stats()).unwrap();
        assert_eq!(stats.browser, BOUND as u64);
    }
    println!("rounds={rounds} creators={CREATORS} bound={BOUND}");
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
