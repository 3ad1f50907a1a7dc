//! [`rotate`](crate::SessionStore::rotate), one caller at a time.

use std::time::Duration;

use super::{
    HOUR, Subject, assert_same, brief, expect_stored, expired, is_live, live, loaded, new_id,
    noted, owned, record, stored,
};
use crate::{Age, Lifetime, Persistence, Record, Saved, SessionStore};

/// Afterwards the old id is dead, on every path, and the new one has the new record (R1, R3).
pub async fn a_rotation_moves_the_session(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let old = stored(&store, owned(noted(live(), "1"), "ann")).await;
    let lifetime = Lifetime::new(Persistence::Persistent, 2 * HOUR, 48 * HOUR);
    let new = Record {
        id: new_id(),
        lifetime,
        ..owned(noted(old.clone(), "2"), "bob")
    };
    let stamp = expect_stored(store.rotate(old.id, &new, Age::Keep).await.unwrap());
    let new = new.stored(stamp);
    assert_eq!(new.revision, old.revision + 1);
    for node in [&store, &node] {
        assert_same(&loaded(node, new.id).await, &new);
        assert_eq!(node.load(old.id).await.unwrap(), None);
        assert_eq!(node.touch(old.id, old.revision).await.unwrap(), None);
        assert_eq!(node.save(&old).await.unwrap(), Saved::Gone);
        assert!(!node.expire(old.id).await.unwrap());
    }
    stored(&node, new).await;
}

/// A rotation keeps `created_at`, or begins a new absolute timeout (R3).
pub async fn a_rotation_keeps_or_restarts_the_age(subject: impl Subject) {
    let store = subject.store().await;
    let passed = Duration::from_millis(20);
    for (age, restarted) in [(Age::Keep, false), (Age::Restart, true)] {
        let old = stored(&store, record(HOUR, HOUR)).await;
        let before = old.stamp.unwrap();
        subject.pass(passed).await;
        let new = Record {
            id: new_id(),
            ..old.clone()
        };
        let stamp = expect_stored(store.rotate(old.id, &new, age).await.unwrap());
        assert_eq!(stamp.expires_at - stamp.created_at, HOUR);
        assert_eq!(stamp.created_at - before.created_at >= passed, restarted);
        assert_eq!(stamp.created_at == before.created_at, !restarted);
        assert_same(&loaded(&store, new.id).await, &new.stored(stamp));
    }
}

/// A rotation from another revision conflicts and changes nothing (R2).
pub async fn a_rotation_of_another_revision_conflicts(subject: impl Subject) {
    let store = subject.store().await;
    let first = stored(&store, noted(live(), "1")).await;
    let current = stored(&store, noted(first, "2")).await;
    for revision in [1, 3, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let new = Record {
            id: new_id(),
            revision,
            ..current.clone()
        };
        let rotated = store.rotate(current.id, &new, Age::Keep).await.unwrap();
        assert_eq!(rotated, Saved::Conflict);
        assert_eq!(store.load(new.id).await.unwrap(), None);
        assert_same(&loaded(&store, current.id).await, &current);
    }
}

/// A rotation onto a live session conflicts and leaves both as they are (R2).
pub async fn a_rotation_onto_a_live_session_conflicts(subject: impl Subject) {
    let store = subject.store().await;
    let old = stored(&store, noted(live(), "1")).await;
    let taken = stored(&store, noted(live(), "2")).await;
    let new = Record {
        id: taken.id,
        ..old.clone()
    };
    let rotated = store.rotate(old.id, &new, Age::Keep).await.unwrap();
    assert_eq!(rotated, Saved::Conflict);
    assert_same(&loaded(&store, old.id).await, &old);
    assert_same(&loaded(&store, taken.id).await, &taken);
}

/// A rotation to the same id conflicts and changes nothing (R2).
pub async fn a_rotation_onto_itself_conflicts(subject: impl Subject) {
    let store = subject.store().await;
    let record = stored(&store, live()).await;
    let rotated = store
        .rotate(record.id, &record, Age::Restart)
        .await
        .unwrap();
    assert_eq!(rotated, Saved::Conflict);
    assert_same(&loaded(&store, record.id).await, &record);
}

/// A dead leftover under the new id may be replaced or count as taken, nothing between (R2).
pub async fn a_rotation_onto_a_dead_leftover_is_whole(subject: impl Subject) {
    let store = subject.store().await;
    let dead = expired(&subject, &store, brief()).await;
    let old = stored(&store, noted(live(), "1")).await;
    let new = Record {
        id: dead.id,
        ..old.clone()
    };
    let (there, gone) = match store.rotate(old.id, &new, Age::Keep).await.unwrap() {
        Saved::Stored(stamp) => (new.stored(stamp), old.id),
        Saved::Conflict => (old, dead.id),
        Saved::Gone => panic!("the old session is live"),
    };
    assert_same(&loaded(&store, there.id).await, &there);
    assert_eq!(store.load(gone).await.unwrap(), None);
}

/// What is unknown, ended or expired cannot be rotated (R2).
pub async fn a_dead_session_cannot_be_rotated(subject: impl Subject) {
    let store = subject.store().await;
    let unknown = Record {
        revision: 1,
        ..live()
    };
    let ended = stored(&store, live()).await;
    assert!(store.expire(ended.id).await.unwrap());
    let dead = expired(&subject, &store, brief()).await;
    for old in [unknown, ended, dead] {
        let new = Record {
            id: new_id(),
            lifetime: Lifetime::PERSISTENT,
            ..old.clone()
        };
        let rotated = store.rotate(old.id, &new, Age::Restart).await.unwrap();
        assert_eq!(rotated, Saved::Gone);
        assert!(!is_live(&store, old.id).await);
        assert!(!is_live(&store, new.id).await);
    }
}

/// A record that was never stored has nothing to rotate; who has the old id keeps it (R2).
pub async fn a_record_of_revision_0_cannot_be_rotated(subject: impl Subject) {
    let store = subject.store().await;
    let old = stored(&store, live()).await;
    let new = live();
    let rotated = store.rotate(old.id, &new, Age::Keep).await.unwrap();
    assert_eq!(rotated, Saved::Gone);
    assert_eq!(store.load(new.id).await.unwrap(), None);
    assert_same(&loaded(&store, old.id).await, &old);
}

/// A rotation whose deadline would not be after now ends the session (R1, S3).
pub async fn a_rotation_past_the_deadline_ends_the_session(subject: impl Subject) {
    let store = subject.store().await;
    let old = stored(&store, live()).await;
    let new = Record {
        lifetime: Lifetime::new(Persistence::Browser, HOUR, Duration::ZERO),
        ..Record {
            id: new_id(),
            ..old.clone()
        }
    };
    let rotated = store.rotate(old.id, &new, Age::Keep).await.unwrap();
    assert_eq!(rotated, Saved::Gone);
    assert!(!is_live(&store, old.id).await);
    assert!(!is_live(&store, new.id).await);
}
