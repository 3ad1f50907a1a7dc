//! What is in memory agrees with what was told, whoever reads the trees meanwhile.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use cloakroom_store_api::Held;
use cloakroom_test_support::rounds;

use super::*;
use crate::cache::{Cache, Known, News, Session};

/// So little that sessions of one shard take each other's room.
const CROWDED: u64 = 4 * SHARDS as u64 * 700;

/// A new session, in the same shard as all others of these.
fn new_neighbour() -> Record {
    let mut id = *new_record(None).id.as_bytes();
    id[0] = 0;
    Record {
        id: SessionId::from_bytes(id),
        ..new_record(None)
    }
}

/// What anybody was told of a session: the last revision, or one of these.
const ENDING: u64 = u64::MAX - 1;
const ENDED: u64 = u64::MAX;

/// Loads a session and its neighbours, turn about, until it has ended; says how often, and how
/// many loads contradict what anybody was told before.
async fn watch(
    store: SledStore,
    id: SessionId,
    neighbours: Vec<SessionId>,
    told: Arc<AtomicU64>,
) -> (u32, u32) {
    let (mut loads, mut stale) = (0, 0);
    loop {
        let before = told.load(SeqCst);
        let found = store.load(id).await.unwrap().map(|found| found.revision);
        let is_stale = match (before, found) {
            (ENDED, found) => found.is_some(),
            (ENDING, _) => false,
            (before, Some(revision)) => revision < before,
            (_, None) => told.load(SeqCst) < ENDING,
        };
        told.fetch_max(found.unwrap_or(ENDED), SeqCst);
        loads += 1;
        stale += u32::from(is_stale);
        if before == ENDED {
            return (loads, stale);
        }
        for neighbour in &neighbours {
            assert!(is_live(&store, *neighbour).await);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_load_is_behind_what_anybody_was_told() {
    let folder = folder();
    let builder = SledStore::builder(folder.path()).cache_capacity(CROWDED);
    let store = builder.open().unwrap();
    let mut neighbours = Vec::new();
    for _ in 0..3 {
        neighbours.push(stored(&store, new_neighbour()).await.id);
    }
    let (mut loads, mut stale) = (0, 0);
    let rounds = rounds(100);
    for _ in 0..rounds {
        let mut record = stored(&store, new_neighbour()).await;
        let told = Arc::new(AtomicU64::new(record.revision));
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                let (store, neighbours) = (store.clone(), neighbours.clone());
                tokio::spawn(watch(store, record.id, neighbours, Arc::clone(&told)))
            })
            .collect();
        for _ in 0..5 {
            record = stored(&store, record).await;
            told.fetch_max(record.revision, SeqCst);
        }
        told.fetch_max(ENDING, SeqCst);
        assert!(store.expire(record.id).await.unwrap());
        told.fetch_max(ENDED, SeqCst);
        for watcher in watchers {
            let (loaded, wrong) = watcher.await.unwrap();
            loads += loaded;
            stale += wrong;
        }
    }
    println!("rounds={rounds} loads={loads} stale={stale}");
    assert_eq!(stale, 0);
}

#[tokio::test]
async fn a_saved_session_is_loaded_from_memory_as_it_was_saved() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let saved = stored(&store, new_record(Some("zoë"))).await;
    let Some(Found::Live(remembered)) = store.0.shared.recall(saved.id).unwrap() else {
        panic!("it is not in memory");
    };
    store.0.shared.cache.forget(saved.id);
    assert!(store.0.shared.recall(saved.id).unwrap().is_none());
    let Found::Live(read) = store.0.shared.find(saved.id).unwrap() else {
        panic!("it is not in the trees");
    };
    for mut found in [remembered, read] {
        found.stamp = saved.stamp;
        assert_eq!(found, saved);
    }
    assert!(store.0.shared.recall(saved.id).unwrap().is_some());
    assert!(store.expire(saved.id).await.unwrap());
    assert!(store.0.shared.recall(saved.id).unwrap().is_none());
}

/// A session of this revision, and its deadline in minutes.
fn session(revision: u64, minutes: u64) -> Session {
    let created_at = Timestamp::from_millis(0);
    Session {
        held: Held {
            revision,
            lifetime: Lifetime::BROWSER,
            created_at,
            expires_at: created_at + Duration::from_mins(minutes),
        },
        owner: None,
        data: Data::default(),
        is_touched: false,
    }
}

const ID: SessionId = SessionId::from_bytes([7; 16]);

fn revision(cache: &Cache) -> Option<u64> {
    match cache.find(ID, |session| session.held.revision) {
        Known::Stored(revision) => Some(revision),
        Known::Ended => None,
        Known::Unknown(_) => panic!("it is not known"),
    }
}

fn since(cache: &Cache) -> News {
    match cache.find(ID, |_| ()) {
        Known::Unknown(since) => since,
        known => panic!("{known:?}"),
    }
}

fn publish(cache: &Cache, outcome: Option<Session>) {
    cache.publish([(ID, outcome)].into_iter().collect(), false);
}

#[test]
fn what_is_being_written_is_what_everybody_finds() {
    let cache = Cache::new(1 << 20);
    let unpublished = since(&cache);
    publish(&cache, Some(session(1, 30)));
    assert_eq!(revision(&cache), Some(1));
    assert!(!cache.is_current(ID, unpublished));
    assert!(!cache.keep(ID, unpublished, session(0, 30)));
    cache.written(&[ID]);
    assert_eq!(revision(&cache), Some(1));

    publish(&cache, None);
    assert_eq!(revision(&cache), None);
    cache.written(&[ID]);
    let gone = since(&cache);
    // Read before the end.
    assert!(!cache.keep(ID, unpublished, session(1, 30)));
    assert_eq!(since(&cache), gone);
    assert!(cache.is_current(ID, gone));
}

#[test]
fn what_was_read_while_it_was_written_is_not_kept() {
    let cache = Cache::new(0);
    publish(&cache, Some(session(1, 30)));
    cache.written(&[ID]);
    let before = since(&cache);
    publish(&cache, Some(session(2, 30)));
    assert!(!cache.is_current(ID, before));
    cache.written(&[ID]);
    assert!(!cache.is_current(ID, before));
    assert!(cache.is_current(ID, since(&cache)));
}

#[test]
fn a_touch_keeps_out_of_the_way_of_what_is_being_written() {
    let cache = Cache::new(1 << 20);
    let at = |minutes| Timestamp::from_millis(0) + Duration::from_mins(minutes);
    publish(&cache, Some(session(1, 30)));
    assert!(cache.touch(ID, 1, || at(10)).is_none());
    cache.written(&[ID]);
    assert!(cache.touch(ID, 2, || at(10)).is_none());
    assert!(cache.touch(ID, 1, || at(30)).is_none());
    assert!(cache.touch(ID, 1, || at(10)).is_some());
    assert_eq!(cache.touches(), 1);
    publish(&cache, Some(session(2, 35)));
    assert_eq!(cache.touches(), 0);
    cache.written(&[ID]);
    let mut held = session(2, 35).held;
    cache.overlay(ID, &mut held);
    assert_eq!(held, session(2, 35).held);
}

#[test]
fn a_touch_that_moves_on_while_it_is_written_is_written_again() {
    let cache = Cache::new(1 << 20);
    let at = |minutes| Timestamp::from_millis(0) + Duration::from_mins(minutes);
    publish(&cache, Some(session(1, 30)));
    cache.written(&[ID]);
    let touch = |minutes| {
        let now = || at(minutes);
        cache.touch(ID, 1, now).unwrap().expires_at
    };
    let unwritten = || -> Vec<_> { (0..SHARDS).flat_map(|n| cache.unwritten(n)).collect() };
    touch(10);
    let first = unwritten();
    let last = touch(20);
    cache.touches_written(&first);
    let [(ID, again)] = unwritten()[..] else {
        panic!("it is lost");
    };
    assert_eq!(again.expires_at, last.into());
    // A touch by a clock that was read earlier takes nothing back.
    cache.move_deadline(ID, &session(1, 45).held);
    assert_eq!(unwritten(), [(ID, again)]);
    cache.touches_written(&[(ID, again)]);
    assert_eq!((unwritten(), cache.touches()), (vec![], 0));
}

/// Their number is bounded: who comes when there is no room asks the writer, who makes some.
#[test]
fn touches_do_not_pile_up() {
    let cache = Cache::new(1 << 30);
    let at = Timestamp::from_millis(60_000);
    let mut refused = 0;
    for n in 0..100_000_u64 {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_le_bytes());
        id[8..].copy_from_slice(&n.to_be_bytes());
        let id = SessionId::from_bytes(id);
        cache.publish([(id, Some(session(1, 30)))].into_iter().collect(), false);
        cache.written(&[id]);
        refused += usize::from(cache.touch(id, 1, || at).is_none());
    }
    assert_eq!(cache.touches() + refused, 100_000);
    assert!(cache.touches() <= 64 * 1024 && refused > 0);
}
