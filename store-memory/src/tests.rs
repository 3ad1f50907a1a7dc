use std::{
    collections::BTreeMap,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use cloakroom_store_api::{
    Age, Clock, Data, Error, Lifetime, ManualClock, Persistence, Record, Saved, SessionId,
    SessionStore, SessionToken, Timestamp, conformance::Subject,
};

use crate::MemoryStore;

cloakroom_store_api::conformance_tests!(Fresh::default());

#[derive(Default)]
struct Fresh {
    clock: ManualClock,
}

impl Subject for Fresh {
    type Store = MemoryStore;

    async fn store(&self) -> MemoryStore {
        MemoryStore::builder()
            .clock(Arc::new(self.clock.clone()))
            .build()
    }

    async fn node(&self, store: &MemoryStore) -> MemoryStore {
        store.clone()
    }

    async fn spoil(&self, store: &MemoryStore, id: SessionId) {
        store.spoil(id);
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

fn record() -> Record {
    Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER)
}

#[tokio::test]
async fn a_full_store_refuses_new_sessions_and_drops_none() {
    let store = MemoryStore::builder().max_sessions(200).build();
    let mut stored = Vec::new();
    for _ in 0..200 {
        let record = record();
        let Saved::Stored(stamp) = store.save(&record).await.unwrap() else {
            panic!("there was room");
        };
        stored.push(record.stored(stamp));
    }
    let refused = store.save(&record()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");

    // Those that are there live on: they are saved, rotated and found.
    for (n, old) in stored.iter().enumerate() {
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

    assert!(store.expire(stored[0].id).await.unwrap());
    assert!(matches!(
        store.save(&record()).await.unwrap(),
        Saved::Stored(_)
    ));
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

/// What the index keeps of sessions that are gone.
fn index_size(store: &MemoryStore) -> usize {
    store.sessions.owners.len()
}

#[tokio::test]
async fn the_owner_index_forgets_with_the_sessions() {
    let clock = ManualClock::new();
    let store = MemoryStore::builder()
        .clock(Arc::new(clock.clone()))
        .build();
    for n in 0..100 {
        let mut record = record();
        record.owner = Some(format!("user-{n}").parse().unwrap());
        assert!(matches!(
            store.save(&record).await.unwrap(),
            Saved::Stored(_)
        ));
        if n % 2 == 0 {
            assert!(store.expire(record.id).await.unwrap());
        }
    }
    assert_eq!(index_size(&store), 50);
    for n in 0..100 {
        store
            .expire_owner(&format!("user-{n}"), None)
            .await
            .unwrap();
    }
    assert_eq!(index_size(&store), 0);
}

#[tokio::test]
async fn a_touch_shares_the_entries() {
    let store = MemoryStore::new();
    let data = Data::new(&BTreeMap::from([("note", "\"one\"")])).unwrap();
    let record = Record { data, ..record() };
    let _ = store.save(&record).await.unwrap();
    let before = store.load(record.id).await.unwrap().unwrap();
    store.touch(record.id, 1).await.unwrap().unwrap();
    let after = store.load(record.id).await.unwrap().unwrap();
    assert!(std::ptr::eq(
        before.data.get("note").unwrap(),
        after.data.get("note").unwrap()
    ));
}

#[test]
fn a_lifetime_in_milliseconds_is_not_reclaimed_while_it_lives() {
    // moka's timer is coarse; the store's own clock is what counts.
    let store = MemoryStore::new();
    let lifetime = Lifetime::new(
        Persistence::Browser,
        Duration::from_millis(30),
        Duration::from_millis(30),
    );
    let record = Record::new(record().id, lifetime);
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            assert!(matches!(
                store.save(&record).await.unwrap(),
                Saved::Stored(_)
            ));
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(store.load(record.id).await.unwrap(), None);
            assert_eq!(store.stats().await.unwrap().expired, 1);
        });
}

/// A clock one of whose readings, by the thread that asked for it, is held up after it was taken.
#[derive(Debug)]
struct HeldUp {
    clock: ManualClock,
    armed: AtomicBool,
    taken: Barrier,
    go_on: Barrier,
}

impl Clock for HeldUp {
    fn wall(&self) -> Timestamp {
        let shown = self.clock.wall();
        if std::thread::current().name() == Some("late") && self.armed.swap(false, SeqCst) {
            self.taken.wait();
            self.go_on.wait();
        }
        shown
    }
    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// L3, T2: what a load has shown dead stays dead.
#[test]
fn what_a_load_has_shown_dead_stays_dead() {
    let rt = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    for by_save in [false, true] {
        let clock = Arc::new(HeldUp {
            clock: ManualClock::new(),
            armed: false.into(),
            taken: Barrier::new(2),
            go_on: Barrier::new(2),
        });
        let store = MemoryStore::builder()
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .build();
        let record = Record::new(
            SessionToken::generate().unwrap().id(),
            Lifetime::new(
                Persistence::Browser,
                Duration::from_secs(10),
                Duration::from_secs(100),
            ),
        );
        let Saved::Stored(stamp) = rt().block_on(store.save(&record)).unwrap() else {
            panic!()
        };
        let record = record.stored(stamp);
        clock.clock.advance(Duration::from_millis(9_999));
        clock.armed.store(true, SeqCst);
        let late = std::thread::Builder::new()
            .name("late".into())
            .spawn({
                let (store, record) = (store.clone(), record.clone());
                move || {
                    rt().block_on(async {
                        if by_save {
                            let _ = store.save(&record).await.unwrap();
                        } else {
                            let _ = store.touch(record.id, 1).await.unwrap();
                        }
                    });
                }
            })
            .unwrap();
        clock.taken.wait();
        clock.clock.advance(Duration::from_millis(1));
        let load = std::thread::spawn({
            let store = store.clone();
            move || rt().block_on(store.load(record.id)).unwrap().is_some()
        });
        std::thread::sleep(Duration::from_millis(50));
        if !load.is_finished() {
            clock.go_on.wait();
            late.join().unwrap();
            continue; // the load waits for the writer: consistent
        }
        let first = load.join().unwrap();
        clock.go_on.wait();
        late.join().unwrap();
        let then = rt().block_on(store.load(record.id)).unwrap().is_some();
        assert!(first || !then, "by_save={by_save}: dead, then live");
    }
}

/// O1, A1: a listing has the session that is being rotated, under one id or the other.
#[test]
fn a_listing_beside_rotations_is_whole() {
    let store = MemoryStore::new();
    let rt = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let mut owned = record();
    owned.owner = Some("ann".parse().unwrap());
    let Saved::Stored(stamp) = rt().block_on(store.save(&owned)).unwrap() else {
        panic!()
    };
    let mut owned = owned.stored(stamp);
    let done = Arc::new(AtomicBool::new(false));
    let lister = std::thread::spawn({
        let (store, done) = (store.clone(), Arc::clone(&done));
        move || {
            let (mut listings, mut missed, mut twice) = (0, 0, 0);
            while !done.load(SeqCst) {
                let found = rt().block_on(store.list("ann")).unwrap().len();
                listings += 1;
                missed += u32::from(found == 0);
                twice += u32::from(found > 1);
            }
            (listings, missed, twice)
        }
    });
    for _ in 0..5_000 {
        let old = owned.id;
        owned.id = record().id;
        let Saved::Stored(stamp) = rt().block_on(store.rotate(old, &owned, Age::Keep)).unwrap()
        else {
            panic!()
        };
        owned = owned.stored(stamp);
    }
    done.store(true, SeqCst);
    let (listings, missed, twice) = lister.join().unwrap();
    println!("listings={listings} missed={missed} twice={twice}");
    assert_eq!((missed, twice), (0, 0));
}
