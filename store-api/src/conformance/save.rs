//! [`save`](crate::SessionStore::save), one caller at a time.

use std::time::Duration;

use super::{
    AFTER_SOON, HOUR, Subject, assert_same, brief, expect_stored, expired, live, loaded, new_id,
    noted, record, stored,
};
use crate::{Age, Lifetime, Persistence, Record, Saved, SessionStore, Stamp};

/// A new record is stored if no live one has its id, and then the id is taken (S1).
pub async fn a_new_record_is_stored_once(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let new = noted(live(), "1");
    let first = stored(&store, new.clone()).await;
    let second = noted(new, "2");
    assert_eq!(store.save(&second).await.unwrap(), Saved::Conflict);
    assert_eq!(node.save(&second).await.unwrap(), Saved::Conflict);
    assert_same(&loaded(&store, first.id).await, &first);
}

/// A new record begins now, by the store's clock, and ends an idle timeout later (S1, S3).
pub async fn the_store_dates_a_new_record(subject: impl Subject) {
    let store = subject.store().await;
    let earlier = stored(&store, live()).await.stamp.unwrap();
    subject.pass(AFTER_SOON).await;
    let forged = Record {
        stamp: Some(earlier),
        ..live()
    };
    let stamp = expect_stored(store.save(&forged).await.unwrap());
    assert_eq!(stamp.expires_at - stamp.created_at, HOUR);
    assert!(stamp.created_at > earlier.created_at);
    assert!(stamp.remaining <= HOUR && stamp.remaining > HOUR - Duration::from_mins(1));
    if subject.clock().is_some() {
        assert_eq!(stamp.created_at - earlier.created_at, AFTER_SOON);
        assert_eq!(stamp.remaining, HOUR);
    }
}

/// A new record takes the place of a dead one and has nothing of it (S1).
pub async fn a_dead_leftover_is_replaced(subject: impl Subject) {
    let store = subject.store().await;
    let first = stored(&store, noted(live(), "1")).await;
    let second = Record {
        lifetime: brief().lifetime,
        ..noted(first, "2")
    };
    let dead = expired(&subject, &store, second).await;
    let anew = Record {
        id: dead.id,
        ..live()
    };
    let anew = stored(&store, anew).await;
    assert_eq!(anew.revision, 1);
    assert!(anew.stamp.unwrap().created_at > dead.stamp.unwrap().created_at);
    assert_same(&loaded(&store, anew.id).await, &anew);
    let late = noted(dead, "3");
    assert_eq!(store.save(&late).await.unwrap(), Saved::Conflict);
}

/// An id whose session was ended or has moved away is free: a new record is stored there (S1).
pub async fn an_id_without_a_session_is_free(subject: impl Subject) {
    let store = subject.store().await;
    let ended = stored(&store, live()).await;
    assert!(store.expire(ended.id).await.unwrap());
    let moved = stored(&store, live()).await;
    let new = Record {
        id: new_id(),
        ..moved.clone()
    };
    let rotated = store.rotate(moved.id, &new, Age::Keep).await.unwrap();
    let new = new.stored(expect_stored(rotated));
    for id in [ended.id, moved.id] {
        let anew = stored(&store, Record { id, ..live() }).await;
        assert_eq!(anew.revision, 1);
        assert_same(&loaded(&store, id).await, &anew);
    }
    assert_same(&loaded(&store, new.id).await, &new);
}

/// Each save makes the stored revision one higher (S2).
pub async fn a_save_counts_the_revision(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let mut record = stored(&store, live()).await;
    for revision in 2..6 {
        record = stored(&store, noted(record, "1")).await;
        assert_eq!(record.revision, revision);
        assert_same(&loaded(&node, record.id).await, &record);
    }
}

/// A live record with another revision conflicts, older or newer, and stays as it is (S2).
pub async fn a_save_of_another_revision_conflicts(subject: impl Subject) {
    let store = subject.store().await;
    let old = stored(&store, noted(live(), "1")).await;
    let current = stored(&store, noted(old.clone(), "2")).await;
    // The last ones are those that numbers with a sign, or none, have no successor for.
    let newer = [current.revision + 1, (1 << 63) - 1, 1 << 63, u64::MAX];
    let newer = newer.map(|revision| Record {
        revision,
        ..noted(current.clone(), "3")
    });
    for wrong in [noted(old, "3")].into_iter().chain(newer) {
        assert_eq!(store.save(&wrong).await.unwrap(), Saved::Conflict);
        assert_same(&loaded(&store, current.id).await, &current);
    }
}

/// `save` never brings a session back that was ended (S2).
pub async fn an_ended_session_cannot_be_saved(subject: impl Subject) {
    let store = subject.store().await;
    let record = stored(&store, live()).await;
    assert!(store.expire(record.id).await.unwrap());
    assert_eq!(store.save(&record).await.unwrap(), Saved::Gone);
    assert_eq!(store.load(record.id).await.unwrap(), None);
}

/// `save` never brings a session back that has expired, even if it would live longer now (S2).
pub async fn an_expired_session_cannot_be_saved(subject: impl Subject) {
    let store = subject.store().await;
    let dead = expired(&subject, &store, brief()).await;
    let longer = Record {
        lifetime: Lifetime::PERSISTENT,
        ..dead
    };
    assert_eq!(store.save(&longer).await.unwrap(), Saved::Gone);
    assert_eq!(store.load(longer.id).await.unwrap(), None);
}

/// A record that claims a revision is never inserted (S2).
pub async fn an_unknown_session_cannot_be_saved(subject: impl Subject) {
    let store = subject.store().await;
    for revision in [1, 7, u64::from(u32::MAX)] {
        let unknown = Record { revision, ..live() };
        assert_eq!(store.save(&unknown).await.unwrap(), Saved::Gone);
        assert_eq!(store.load(unknown.id).await.unwrap(), None);
    }
}

/// A save moves the deadline by the lifetime in the record, both ways, and never the beginning
/// (S3).
pub async fn a_save_moves_the_deadline_by_the_records_own_lifetime(subject: impl Subject) {
    let store = subject.store().await;
    let mut record = stored(&store, live()).await;
    let created_at = record.stamp.unwrap().created_at;
    for idle in [3 * HOUR, HOUR, 2 * HOUR] {
        subject.pass(Duration::from_millis(20)).await;
        let lifetime = Lifetime::new(Persistence::Persistent, idle, 24 * HOUR);
        record = stored(&store, Record { lifetime, ..record }).await;
        let stamp = record.stamp.unwrap();
        assert_eq!(stamp.created_at, created_at);
        let passed = stamp.expires_at - created_at - idle;
        assert!(passed >= Duration::from_millis(20) && passed < Duration::from_mins(1));
        assert_same(&loaded(&store, record.id).await, &record);
    }
}

/// When a session was created the store knows, whatever the record says (S3).
pub async fn a_save_takes_no_instant_from_the_record(subject: impl Subject) {
    let store = subject.store().await;
    let mut known = stored(&store, record(HOUR, 2 * HOUR)).await;
    let stamp = known.stamp.unwrap();
    let moved = |by: time::Duration| Stamp {
        created_at: stamp.created_at + by,
        expires_at: stamp.expires_at + by,
        ..stamp
    };
    let far = time::Duration::hours(3);
    for claimed in [None, Some(moved(far)), Some(moved(-far))] {
        subject.pass(Duration::from_millis(20)).await;
        let record = Record {
            stamp: claimed,
            ..known
        };
        known = stored(&store, record).await;
        let saved = known.stamp.unwrap();
        assert_eq!(saved.created_at, stamp.created_at, "{claimed:?}");
        let passed = saved.expires_at - stamp.expires_at;
        assert!(
            passed >= Duration::from_millis(20) && passed < Duration::from_mins(1),
            "{claimed:?}"
        );
        assert_same(&loaded(&store, known.id).await, &known);
    }
}

/// However often it is saved, a session ends when it is as old as its absolute timeout (S3).
pub async fn a_save_stops_at_the_absolute_timeout(subject: impl Subject) {
    let store = subject.store().await;
    let first = stored(&store, record(HOUR, HOUR)).await;
    let mut last = first.clone();
    for _ in 0..3 {
        subject.pass(Duration::from_millis(20)).await;
        last = stored(&store, last).await;
        assert_eq!(
            last.stamp.unwrap().expires_at,
            first.stamp.unwrap().expires_at
        );
    }
}

/// A save whose deadline would not be after now ends the session, also at create (S3).
pub async fn a_deadline_that_is_not_after_now_ends_the_session(subject: impl Subject) {
    let store = subject.store().await;
    for dead in [record(Duration::ZERO, HOUR), record(HOUR, Duration::ZERO)] {
        assert_eq!(store.save(&dead).await.unwrap(), Saved::Gone);
        assert_eq!(store.load(dead.id).await.unwrap(), None);

        let live = stored(&store, live()).await;
        let ending = Record {
            lifetime: dead.lifetime,
            ..live.clone()
        };
        assert_eq!(store.save(&ending).await.unwrap(), Saved::Gone);
        assert_eq!(store.load(live.id).await.unwrap(), None);
        assert_eq!(store.save(&live).await.unwrap(), Saved::Gone);
    }
    let old = stored(&store, live()).await;
    subject.pass(AFTER_SOON).await;
    let lifetime = Lifetime::new(Persistence::Browser, HOUR, super::SOON);
    let too_old = Record { lifetime, ..old };
    assert_eq!(store.save(&too_old).await.unwrap(), Saved::Gone);
    assert_eq!(store.load(too_old.id).await.unwrap(), None);
}

/// 100 years overflow nothing (S3).
pub async fn the_longest_lifetime_is_kept(subject: impl Subject) {
    let store = subject.store().await;
    let record = stored(&store, record(Duration::MAX, Duration::MAX)).await;
    let stamp = record.stamp.unwrap();
    assert_eq!(stamp.expires_at - stamp.created_at, Lifetime::LIMIT);
    assert_same(&loaded(&store, record.id).await, &record);
    let touched = store.touch(record.id, record.revision).await.unwrap();
    assert_eq!(touched.unwrap().expires_at, stamp.expires_at);
    stored(&store, record).await;
}
