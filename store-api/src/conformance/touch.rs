//! [`touch`](crate::SessionStore::touch).

use std::time::Duration;

use super::{
    HOUR, Subject, assert_same, brief, expired, live, loaded, new_id, noted, record, stored,
};
use crate::{Clock, Lifetime, Persistence, Record, SessionStore, Timestamp};

const A_WHILE: Duration = Duration::from_millis(20);

/// A touch makes the deadline what a save now would make it (T1).
pub async fn a_touch_moves_the_deadline(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let record = stored(&store, live()).await;
    let before = record.stamp.unwrap();
    subject.pass(A_WHILE).await;
    let stamp = store
        .touch(record.id, record.revision)
        .await
        .unwrap()
        .unwrap();
    let moved = stamp.expires_at - before.expires_at;
    assert!(
        moved >= A_WHILE && moved < Duration::from_mins(1),
        "moved by {moved}"
    );
    if subject.clock().is_some() {
        assert_eq!(moved, A_WHILE);
        assert_eq!(stamp.remaining, HOUR);
    }
    assert_eq!(stamp.created_at, before.created_at);
    for found in [
        loaded(&store, record.id).await,
        loaded(&node, record.id).await,
    ] {
        assert_eq!(found.stamp.unwrap().expires_at, stamp.expires_at);
    }
    let stamp = node
        .touch(record.id, record.revision)
        .await
        .unwrap()
        .unwrap();
    assert!(stamp.expires_at >= before.expires_at + moved);
}

/// A touch that names another revision moves nothing (T1).
pub async fn a_touch_of_another_revision_is_none(subject: impl Subject) {
    let store = subject.store().await;
    let first = stored(&store, live()).await;
    let record = stored(&store, noted(first, "1")).await;
    subject.pass(A_WHILE).await;
    for revision in [0, 1, 3] {
        assert_eq!(store.touch(record.id, revision).await.unwrap(), None);
    }
    assert_same(&loaded(&store, record.id).await, &record);
}

/// The deadline never moves back, whatever the wall clock does (T1).
pub async fn a_touch_never_moves_the_deadline_back(subject: impl Subject) {
    let store = subject.store().await;
    let record = stored(&store, live()).await;
    let before = record.stamp.unwrap().expires_at;
    if let Some(clock) = subject.clock() {
        clock.set_wall(Timestamp::from_millis(clock.wall().as_millis() - 1_000_000));
    }
    let stamp = store
        .touch(record.id, record.revision)
        .await
        .unwrap()
        .unwrap();
    assert!(stamp.expires_at >= before);
    assert!(loaded(&store, record.id).await.stamp.unwrap().expires_at >= before);
}

/// A touch revives nothing: not the unknown, not the ended, not the expired (T2).
pub async fn a_dead_session_cannot_be_touched(subject: impl Subject) {
    let store = subject.store().await;
    assert_eq!(store.touch(new_id(), 1).await.unwrap(), None);
    let ended = stored(&store, live()).await;
    assert!(store.expire(ended.id).await.unwrap());
    let dead = expired(&subject, &store, brief()).await;
    for record in [ended, dead] {
        assert_eq!(store.touch(record.id, record.revision).await.unwrap(), None);
        assert_eq!(store.load(record.id).await.unwrap(), None);
    }
}

/// No touch passes the absolute timeout (T2).
pub async fn a_touch_stops_at_the_absolute_timeout(subject: impl Subject) {
    let store = subject.store().await;
    let record = stored(&store, record(HOUR, HOUR)).await;
    let end = record.stamp.unwrap().expires_at;
    for _ in 0..3 {
        subject.pass(A_WHILE).await;
        let stamp = store
            .touch(record.id, record.revision)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stamp.expires_at, end);
        assert_eq!(
            loaded(&store, record.id).await.stamp.unwrap().expires_at,
            end
        );
    }
}

/// A touch changes no data, lifetime, owner or revision (T2).
pub async fn a_touch_changes_nothing_else(subject: impl Subject) {
    let store = subject.store().await;
    let record = stored(&store, super::owned(noted(live(), "1"), "ann")).await;
    subject.pass(A_WHILE).await;
    let stamp = store.touch(record.id, record.revision).await.unwrap();
    let touched = Record { stamp, ..record };
    assert_same(&loaded(&store, touched.id).await, &touched);
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
    stored(&store, noted(touched, "2")).await;
}

/// A touch that was asked for while the session was persistent does not stretch it once it is
/// browser-length (T1).
pub async fn a_late_touch_cannot_stretch_a_session(subject: impl Subject) {
    let store = subject.store().await;
    let persistent = stored(&store, Record::new(new_id(), Lifetime::PERSISTENT)).await;
    let lifetime = Lifetime::new(Persistence::Browser, HOUR, 12 * HOUR);
    let browser = stored(
        &store,
        Record {
            lifetime,
            ..persistent.clone()
        },
    )
    .await;
    let late = store
        .touch(persistent.id, persistent.revision)
        .await
        .unwrap();
    assert_eq!(late, None);
    subject.pass(A_WHILE).await;
    let stamp = store
        .touch(browser.id, browser.revision)
        .await
        .unwrap()
        .unwrap();
    assert!(stamp.remaining <= HOUR);
    let remaining = loaded(&store, browser.id).await.stamp.unwrap().remaining;
    // A store may know its server's clock to a few milliseconds.
    let most = match subject.clock() {
        Some(_) => HOUR,
        None => HOUR + Duration::from_secs(1),
    };
    assert!(remaining <= most);
}
