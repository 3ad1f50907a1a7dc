//! [`load`](crate::SessionStore::load) and liveness.

use std::{collections::BTreeMap, time::Duration};

use time::OffsetDateTime;

use super::{
    AFTER_SOON, HOUR, Subject, assert_same, brief, expired, is_live, live, loaded, new_id, noted,
    owned, record, stored,
};
use crate::{
    Age, Data, Lifetime, Owner, Persistence, Record, Saved, SessionStore, data::ENTRIES_LIMIT,
    data::KEY_LIMIT,
};

/// Unknown ids are no session and no error (L1).
pub async fn an_unknown_id_loads_as_none(subject: impl Subject) {
    let store = subject.store().await;
    assert_eq!(store.load(new_id()).await.unwrap(), None);
    stored(&store, live()).await;
    assert_eq!(store.load(new_id()).await.unwrap(), None);
}

/// A session that was ended is no session, on any node (L1).
pub async fn an_ended_session_loads_as_none(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let record = stored(&store, live()).await;
    assert!(is_live(&node, record.id).await);
    assert!(store.expire(record.id).await.unwrap());
    assert_eq!(store.load(record.id).await.unwrap(), None);
    assert_eq!(node.load(record.id).await.unwrap(), None);
}

/// An expired session is no session although nobody swept it (L1, L3).
pub async fn an_expired_session_loads_as_none(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let idle = expired(&subject, &store, brief()).await;
    assert_eq!(store.load(idle.id).await.unwrap(), None);
    assert_eq!(node.load(idle.id).await.unwrap(), None);
    let old = expired(&subject, &store, record(HOUR, super::SOON)).await;
    assert_eq!(store.load(old.id).await.unwrap(), None);
}

/// Loading neither writes nor prolongs, and does not make an id known (L2).
pub async fn loading_changes_nothing(subject: impl Subject) {
    let store = subject.store().await;
    let unknown = live();
    assert_eq!(store.load(unknown.id).await.unwrap(), None);
    let before = store.stats().await.unwrap();
    assert_eq!((before.browser, before.persistent), (0, 0));
    let known = stored(&store, unknown).await;
    assert_eq!(known.revision, 1);
    subject.pass(AFTER_SOON).await;
    assert_same(&loaded(&store, known.id).await, &known);
    subject.pass(AFTER_SOON).await;
    assert_same(&loaded(&store, known.id).await, &known);
}

/// A session lives until its deadline, and at the deadline it is dead, on every path (L3).
///
/// To the millisecond where the clock is injected.
pub async fn a_session_dies_at_its_deadline(subject: impl Subject) {
    let store = subject.store().await;
    let lifetimes = [record(super::SOON, HOUR), record(HOUR, super::SOON)];
    for record in lifetimes.map(|record| owned(record, "ann")) {
        let record = stored(&store, record).await;
        if let Some(clock) = subject.clock() {
            clock.advance(super::SOON - Duration::from_millis(1));
            let stamp = loaded(&store, record.id).await.stamp.unwrap();
            assert_eq!(stamp.remaining, Duration::from_millis(1));
            assert_eq!(store.list("ann").await.unwrap().len(), 1);
            clock.advance(Duration::from_millis(1));
        } else {
            subject.pass(AFTER_SOON).await;
        }
        assert_eq!(store.load(record.id).await.unwrap(), None);
        assert_eq!(store.touch(record.id, record.revision).await.unwrap(), None);
        assert_eq!(store.save(&record).await.unwrap(), Saved::Gone);
        let moved = Record {
            id: new_id(),
            ..record.clone()
        };
        let rotated = store.rotate(record.id, &moved, Age::Restart).await.unwrap();
        assert_eq!(rotated, Saved::Gone);
        assert_eq!(store.list("ann").await.unwrap(), []);
        assert_eq!(store.expire_owner("ann", None).await.unwrap(), 0);
        assert!(!store.expire(record.id).await.unwrap());
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.browser, stats.persistent), (0, 0));
    }
}

/// The application's clock neither ends a session nor keeps one (L3).
///
/// It prints by how much that clock is off the store's, so that one can see a wrong one tried.
pub async fn only_the_stores_clock_ends_sessions(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let (mut alive, mut dead) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        alive.push(stored(&store, record(HOUR / 12, HOUR)).await);
        dead.push(stored(&store, brief()).await.id);
    }
    let created_at = alive[49].stamp.expect("it is stored").created_at;
    let off = OffsetDateTime::now_utc() - created_at;
    subject.pass(AFTER_SOON).await;
    let (mut wrongly_dead, mut wrongly_alive) = (0, 0);
    for record in alive {
        let touched = store.touch(record.id, record.revision).await.unwrap();
        wrongly_dead += u32::from(touched.is_none());
        wrongly_dead += u32::from(!is_live(&node, record.id).await);
        let saved = store.save(&record).await.unwrap();
        wrongly_dead += u32::from(!matches!(saved, Saved::Stored(_)));
    }
    for id in dead {
        wrongly_alive += u32::from(is_live(&node, id).await);
        wrongly_alive += u32::from(store.touch(id, 1).await.unwrap().is_some());
        wrongly_alive += u32::from(store.expire(id).await.unwrap());
    }
    println!(
        "clock_off_s={} wrongly_dead={wrongly_dead} wrongly_alive={wrongly_alive}",
        off.whole_seconds()
    );
    assert_eq!((wrongly_dead, wrongly_alive), (0, 0));
}

/// What is loaded equals what was saved (L4).
pub async fn what_is_loaded_is_what_was_saved(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let keys: Vec<_> = (0..ENTRIES_LIMIT).map(|n| format!("key {n}")).collect();
    let text = "ü\u{1F9E5}\0\"\\".repeat(2_000);
    let long_key = "k".repeat(KEY_LIMIT);
    let odd = BTreeMap::from([("", "null"), ("\0", &*text), (&long_key, ""), ("ß", "{}")]);
    let many = keys.iter().map(|key| (&**key, "[1,2,3]")).collect();
    let datas = [
        Data::default(),
        Data::new(&odd).unwrap(),
        Data::new(&many).unwrap(),
    ];
    let owners = [
        None,
        Some("o".into()),
        Some("ö".repeat(Owner::LIMIT / 2)),
        Some("%_'\"\\:".into()),
    ];
    let lifetimes = [
        Lifetime::BROWSER,
        Lifetime::PERSISTENT,
        Lifetime::new(
            Persistence::Persistent,
            HOUR + Duration::from_millis(1),
            Lifetime::LIMIT,
        ),
    ];
    for data in &datas {
        for owner in &owners {
            for lifetime in lifetimes {
                let record = Record {
                    owner: owner.as_ref().map(|owner| owner.parse().unwrap()),
                    data: data.clone(),
                    ..Record::new(new_id(), lifetime)
                };
                let record = stored(&store, record).await;
                assert_same(&loaded(&store, record.id).await, &record);
                assert_same(&loaded(&node, record.id).await, &record);
                let record = stored(&node, noted(record, "1")).await;
                assert_same(&loaded(&store, record.id).await, &record);
            }
        }
    }
}
