//! [`expire`](crate::SessionStore::expire), one caller at a time.

use super::{Subject, brief, expired, is_live, live, new_id, stored};
use crate::{Age, Record, Saved, SessionStore};

/// An end says whether the session was live; ending again is no error (E1).
pub async fn an_end_says_whether_the_session_was_live(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let record = stored(&store, live()).await;
    assert!(store.expire(record.id).await.unwrap());
    assert!(!store.expire(record.id).await.unwrap());
    assert!(!node.expire(record.id).await.unwrap());
    assert!(!store.expire(new_id()).await.unwrap());
    let dead = expired(&subject, &store, brief()).await;
    assert!(!store.expire(dead.id).await.unwrap());
}

/// After an end no touch, no save and no rotation revives the session, on any node (E2).
pub async fn nothing_revives_an_ended_session(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let record = stored(&store, live()).await;
    assert!(node.expire(record.id).await.unwrap());
    let moved = Record {
        id: new_id(),
        ..record.clone()
    };
    for node in [&store, &node] {
        assert_eq!(node.touch(record.id, record.revision).await.unwrap(), None);
        assert_eq!(node.save(&record).await.unwrap(), Saved::Gone);
        let rotated = node.rotate(record.id, &moved, Age::Restart).await.unwrap();
        assert_eq!(rotated, Saved::Gone);
        assert!(!is_live(node, record.id).await);
        assert!(!is_live(node, moved.id).await);
    }
}
