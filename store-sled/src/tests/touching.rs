//! Touches, which are in memory at first.

use super::*;
use crate::{batch::Batch, row::Draft};

/// More than the writer writes at once.
const SESSIONS: usize = 600;

/// What the deadlines tree has.
fn written(store: &SledStore) -> usize {
    store.0.shared.trees.deadlines.len()
}

async fn touched(store: &SledStore, clock: &ManualClock) -> Vec<Record> {
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(stored(store, new_record(Some("zoë"))).await);
    }
    clock.advance(Duration::from_mins(20));
    for session in &mut sessions {
        session.stamp = store.touch(session.id, 1).await.unwrap();
    }
    sessions
}

#[tokio::test]
async fn closing_loses_no_touch() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let sessions = touched(&store, &clock).await;
    drop(store);
    let store = at(&folder, &clock);
    assert_eq!(written(&store), SESSIONS);
    for session in &sessions {
        let found = store.load(session.id).await.unwrap().unwrap();
        assert_eq!(found.stamp, session.stamp);
    }
}

#[tokio::test]
async fn touches_are_written_although_nobody_calls() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let sessions = touched(&store, &clock).await;
    let asked = Instant::now();
    while store.0.shared.cache.touches() > 0 {
        assert!(asked.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(written(&store), SESSIONS);
    for session in sessions {
        store.0.shared.cache.forget(session.id);
        let found = store.load(session.id).await.unwrap().unwrap();
        assert_eq!(found.stamp, session.stamp);
        assert!(store.expire(session.id).await.unwrap());
    }
    assert_eq!(written(&store), 0);
}

/// Whichever way a session's touches have gone: in memory, written, or both.
#[tokio::test]
async fn what_ends_or_replaces_a_session_takes_its_touches_along() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    for (first, then) in [(false, false), (true, false), (false, true), (true, true)] {
        for end in [true, false] {
            let mut session = stored(&store, new_record(None)).await;
            for is_written in [first, then] {
                clock.advance(Duration::from_mins(10));
                store.touch(session.id, 1).await.unwrap().unwrap();
                if is_written {
                    write_touches(&store);
                }
            }
            if end {
                assert!(store.expire(session.id).await.unwrap());
            } else {
                session = stored(&store, session).await;
                assert_eq!((written(&store), store.0.shared.cache.touches()), (0, 0));
                clock.advance(Duration::from_mins(30));
                assert!(!is_live(&store, session.id).await);
                while store.sweep(MANY).await.unwrap().more {}
            }
            clock.advance(Duration::from_hours(1));
            while store.sweep(MANY).await.unwrap().more {}
            assert_empty(&store);
        }
    }
}

#[tokio::test]
async fn a_touch_of_what_is_not_in_memory_is_decided_by_the_writer() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let session = stored(&store, new_record(None)).await;
    clock.advance(Duration::from_mins(20));
    store.0.shared.cache.forget(session.id);
    assert!(store.0.shared.touch(session.id, 1).is_none());
    let stamp = store.touch(session.id, 1).await.unwrap().unwrap();
    for _ in 0..2 {
        let found = store.load(session.id).await.unwrap().unwrap();
        assert_eq!(found.stamp, Some(stamp));
    }
    assert_eq!(store.touch(session.id, 2).await.unwrap(), None);
    clock.advance(Duration::from_mins(30));
    assert_eq!(store.touch(session.id, 1).await.unwrap(), None);
}

/// A touch does not wait for the writer, which may have looked at the session before.
#[tokio::test]
async fn a_batch_goes_by_the_last_touch_of_a_session_that_it_has_seen() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let session = stored(&store, new_record(None)).await;
    let id = session.id;
    let idle = session.lifetime.idle();
    clock.advance(idle / 2);
    let mut batch = Batch::new(&store.0.shared);
    batch.next();
    assert_eq!(batch.touch(id, 7).unwrap(), None);
    assert!(store.0.shared.touch(id, 1).is_some());
    clock.advance(idle * 3 / 4);
    batch.next();
    let saved = batch.save(Draft::new(&session).unwrap()).unwrap();
    assert!(matches!(saved, Saved::Stored(_)), "{saved:?}");
}
