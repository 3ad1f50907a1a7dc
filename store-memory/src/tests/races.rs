//! Calls that meet.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use cloakroom_store_api::{
    Age, Clock, Data, Lifetime, ManualClock, Persistence, Record, Saved, SessionStore,
    SessionToken, Timestamp,
};

use super::{owned, record, runtime, stored};
use crate::MemoryStore;

/// A clock one of whose readings, by the thread that asked for it, is held up after it was taken.
#[derive(Debug)]
struct HeldUp {
    clock: ManualClock,
    armed: AtomicBool,
    wall_was_read: AtomicBool,
    taken: Barrier,
    go_on: Barrier,
}

impl Clock for HeldUp {
    fn wall(&self) -> Timestamp {
        if std::thread::current().name() == Some("late") && self.armed.swap(false, SeqCst) {
            self.wall_was_read.store(true, SeqCst);
        }
        self.clock.wall()
    }

    /// What is read after the wall clock decides what time it is.
    fn monotonic(&self) -> Duration {
        let shown = self.clock.monotonic();
        if std::thread::current().name() == Some("late") && self.wall_was_read.swap(false, SeqCst) {
            self.taken.wait();
            self.go_on.wait();
        }
        shown
    }
}

/// L3, T2: what a load has shown dead stays dead.
#[test]
fn what_a_load_has_shown_dead_stays_dead() {
    for by_save in [false, true] {
        let clock = Arc::new(HeldUp {
            clock: ManualClock::new(),
            armed: false.into(),
            wall_was_read: false.into(),
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
        let Saved::Stored(stamp) = runtime().block_on(store.save(&record)).unwrap() else {
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
                    runtime().block_on(async {
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
        let about_to_load = Arc::new(Barrier::new(2));
        let load = std::thread::spawn({
            let (store, about_to_load) = (store.clone(), Arc::clone(&about_to_load));
            move || {
                let runtime = runtime();
                about_to_load.wait();
                runtime.block_on(store.load(record.id)).unwrap().is_some()
            }
        });
        about_to_load.wait();
        std::thread::sleep(Duration::from_millis(50));
        if !load.is_finished() {
            clock.go_on.wait();
            late.join().unwrap();
            continue; // the load waits for the writer: consistent
        }
        let first = load.join().unwrap();
        clock.go_on.wait();
        late.join().unwrap();
        let then = runtime().block_on(store.load(record.id)).unwrap().is_some();
        assert!(first || !then, "by_save={by_save}: dead, then live");
    }
}

/// O1, A1: a listing has the session that is being rotated, under one id or the other.
#[test]
fn a_listing_beside_rotations_is_whole() {
    let store = MemoryStore::new();
    let mut owned = runtime().block_on(stored(&store, owned("ann")));
    let done = Arc::new(AtomicBool::new(false));
    let lister = std::thread::spawn({
        let (store, done) = (store.clone(), Arc::clone(&done));
        move || {
            let (mut listings, mut missed, mut twice) = (0, 0, 0);
            while !done.load(SeqCst) {
                let found = runtime().block_on(store.list("ann")).unwrap().len();
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
        let Saved::Stored(stamp) = runtime()
            .block_on(store.rotate(old, &owned, Age::Keep))
            .unwrap()
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

/// A session is found while the map grows and shrinks around it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_session_is_found_while_the_map_is_rebuilt() {
    let store = MemoryStore::new();
    let mut known = Vec::new();
    for _ in 0..64 {
        known.push(stored(&store, record()).await.id);
    }
    let done = Arc::new(AtomicBool::new(false));
    let looking = tokio::spawn({
        let (store, done) = (store.clone(), Arc::clone(&done));
        async move {
            let (mut looks, mut missed) = (0, 0);
            while !done.load(SeqCst) {
                for id in &known {
                    looks += 1;
                    missed += u32::from(store.load(*id).await.unwrap().is_none());
                }
                tokio::task::yield_now().await;
            }
            (looks, missed)
        }
    });
    for _ in 0..3 {
        let mut others = Vec::new();
        for _ in 0..20_000 {
            others.push(stored(&store, record()).await.id);
        }
        for id in others {
            assert!(store.expire(id).await.unwrap());
        }
    }
    done.store(true, SeqCst);
    let (looks, missed) = looking.await.unwrap();
    println!("looks={looks} missed={missed}");
    assert_eq!(missed, 0);
}

/// What is loaded is what was saved together.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_load_beside_saves_is_whole() {
    let store = MemoryStore::new();
    let named = |record: Record| {
        let (owner, name) = (
            format!("user-{}", record.revision % 3),
            record.revision.to_string(),
        );
        let data = Data::new(&BTreeMap::from([("revision", &*name)])).unwrap();
        Record {
            owner: Some(owner.parse().unwrap()),
            data,
            ..record
        }
    };
    let mut session = stored(&store, named(record())).await;
    let id = session.id;
    let saving = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..20_000 {
                session = stored(&store, named(session)).await;
            }
        }
    });
    let mut loads = 0;
    while !saving.is_finished() {
        let loaded = store.load(id).await.unwrap().unwrap();
        let before = Record {
            revision: loaded.revision - 1,
            ..loaded.clone()
        };
        let expected = named(before);
        assert_eq!((loaded.owner, loaded.data), (expected.owner, expected.data));
        loads += 1;
        tokio::task::yield_now().await;
    }
    println!("loads={loads}");
    saving.await.unwrap();
}

/// E2: whoever has found a session before it ended, and comes to it after, is told that it is gone.
#[test]
fn who_has_found_a_session_that_ends_comes_too_late() {
    let store = MemoryStore::new();
    let session = runtime().block_on(stored(&store, record()));
    let about_to_act = Arc::new(Barrier::new(3));
    let late = |act: fn(&MemoryStore, &Record) -> bool| {
        let (store, session) = (store.clone(), session.clone());
        let about_to_act = Arc::clone(&about_to_act);
        std::thread::spawn(move || {
            about_to_act.wait();
            act(&store, &session)
        })
    };

    let stripe = store.sessions.lock(session.id);
    let slot = store.sessions.find(session.id).unwrap();
    let locked = slot.lock();
    let waiting = [
        late(|store, session| matches!(store.sessions.save(session), Ok(Saved::Gone))),
        late(|store, session| store.sessions.touch(session.id, session.revision).is_none()),
    ];
    about_to_act.wait();
    std::thread::sleep(Duration::from_millis(50));
    store.sessions.end(locked);
    drop(stripe);
    for waiting in waiting {
        assert!(waiting.join().unwrap());
    }
    assert_eq!(store.sessions.stored(), 0);
}
