//! [`list`](crate::SessionStore::list) and [`expire_owner`](crate::SessionStore::expire_owner).

use std::time::Duration;

use super::{
    AFTER_SOON, Subject, assert_same, brief, expect_stored, is_live, live, new_id, noted, owned,
    stored,
};
use crate::{Age, Record, SessionId, SessionStore};

async fn ids(store: &impl SessionStore, owner: &str) -> Vec<SessionId> {
    let records = store.list(owner).await.unwrap();
    records.iter().map(|record| record.id).collect()
}

/// A listing has exactly the owner's live sessions, whole, newest first (O1).
pub async fn an_owner_has_exactly_its_live_sessions(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    assert_eq!(store.list("ann").await.unwrap(), []);
    stored(&store, owned(brief(), "ann")).await;
    stored(&store, owned(live(), "bob")).await;
    stored(&store, live()).await;
    let mut expected = Vec::new();
    for note in ["1", "2", "3", "4"] {
        subject.pass(Duration::from_millis(5)).await;
        expected.insert(0, stored(&store, owned(noted(live(), note), "ann")).await);
    }
    subject.pass(AFTER_SOON).await;
    for node in [&store, &node] {
        let found = node.list("ann").await.unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_same(found, expected);
        }
    }
}

/// Owners whose names contain, continue or look like one another have nothing in common (A2).
pub async fn owners_with_similar_names_are_strangers(subject: impl Subject) {
    let store = subject.store().await;
    let long = "x".repeat(256);
    let names = [
        "a",
        "ab",
        "A",
        "a ",
        "%",
        "a%",
        "_",
        "a:b",
        "a\u{1}",
        "ä",
        "a\u{308}",
        &long,
        &long[1..],
    ];
    let mut sessions = Vec::new();
    for name in names {
        sessions.push(stored(&store, owned(live(), name)).await.id);
    }
    for (name, id) in names.iter().zip(&sessions) {
        assert_eq!(ids(&store, name).await, [*id], "sessions of {name:?}");
    }
    assert_eq!(store.expire_owner("a", None).await.unwrap(), 1);
    assert_eq!(store.expire_owner("%", None).await.unwrap(), 1);
    assert_eq!(store.expire_owner("nobody", None).await.unwrap(), 0);
    for (name, id) in names.iter().zip(&sessions) {
        assert_eq!(
            is_live(&store, *id).await,
            !["a", "%"].contains(name),
            "{name:?}"
        );
    }
}

/// Whose a session is follows saves, rotations, ends and expiry (O3).
pub async fn the_index_follows_every_change(subject: impl Subject) {
    let store = subject.store().await;
    let record = stored(&store, live()).await;
    let id = record.id;
    let record = stored(&store, owned(record, "ann")).await;
    assert_eq!(ids(&store, "ann").await, [id]);
    let record = stored(&store, owned(record, "bob")).await;
    assert_eq!(ids(&store, "ann").await, []);
    assert_eq!(ids(&store, "bob").await, [id]);
    let record = stored(
        &store,
        Record {
            owner: None,
            ..record
        },
    )
    .await;
    assert_eq!(ids(&store, "bob").await, []);

    let record = stored(&store, owned(record, "ann")).await;
    let moved = owned(
        Record {
            id: new_id(),
            ..record
        },
        "bob",
    );
    let stamp = expect_stored(store.rotate(id, &moved, Age::Keep).await.unwrap());
    assert_eq!(ids(&store, "ann").await, []);
    assert_eq!(ids(&store, "bob").await, [moved.id]);
    let again = Record {
        id: new_id(),
        ..moved.clone().stored(stamp)
    };
    expect_stored(store.rotate(moved.id, &again, Age::Restart).await.unwrap());
    assert_eq!(ids(&store, "bob").await, [again.id]);
    assert!(store.expire(again.id).await.unwrap());
    assert_eq!(ids(&store, "bob").await, []);

    let dying = stored(&store, owned(brief(), "ann")).await;
    subject.pass(AFTER_SOON).await;
    assert_eq!(ids(&store, "ann").await, []);
    let anew = Record {
        id: dying.id,
        ..owned(live(), "bob")
    };
    stored(&store, anew).await;
    assert_eq!(ids(&store, "ann").await, []);
    assert_eq!(ids(&store, "bob").await, [dying.id]);
    assert_eq!(store.expire_owner("ann", None).await.unwrap(), 0);
    assert!(is_live(&store, dying.id).await);
}

/// All sessions of the owner end but the one excepted, and only live ones are counted (O2).
pub async fn ending_an_owners_sessions_spares_one(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    stored(&store, owned(brief(), "ann")).await;
    let mut anns = Vec::new();
    for _ in 0..4 {
        anns.push(stored(&store, owned(live(), "ann")).await);
    }
    let bobs = stored(&store, owned(live(), "bob")).await;
    let nobodys = stored(&store, live()).await;
    subject.pass(AFTER_SOON).await;
    assert_eq!(node.expire_owner("ann", Some(anns[1].id)).await.unwrap(), 3);
    assert_eq!(ids(&store, "ann").await, [anns[1].id]);
    for (n, record) in anns.iter().enumerate() {
        assert_eq!(is_live(&store, record.id).await, n == 1);
    }
    assert_eq!(store.expire_owner("ann", Some(bobs.id)).await.unwrap(), 1);
    assert_eq!(ids(&store, "ann").await, []);
    assert_eq!(store.expire_owner("ann", None).await.unwrap(), 0);
    assert!(is_live(&store, bobs.id).await && is_live(&store, nobodys.id).await);
}
