//! What holds for every call.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::{Future, poll_fn},
    num::NonZeroU32,
    pin::pin,
    task::Poll,
    time::Duration,
};

use tokio::task::yield_now;

use super::{
    Subject, assert_same, brief, expired, is_live, live, loaded, new_id, noted, owned, stored,
};
use crate::{Age, Data, Error, Persistence, RECORD_LIMIT, Record, Saved, SessionId, SessionStore};

/// What one node writes the other reads at once (A2).
pub async fn two_nodes_see_the_same(subject: impl Subject) {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    let record = stored(&store, owned(live(), "ann")).await;
    let record = stored(&node, noted(record, "1")).await;
    assert_same(&loaded(&store, record.id).await, &record);
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
    assert_eq!(node.list("ann").await.unwrap().len(), 1);
    assert!(node.expire(record.id).await.unwrap());
    assert_eq!(store.save(&record).await.unwrap(), Saved::Gone);
}

/// Two stores share neither ids nor owners nor the dead (A2).
pub async fn two_stores_share_nothing(subject: impl Subject) {
    let one = subject.store().await;
    let other = subject.store().await;
    let record = owned(live(), "ann");
    let in_one = stored(&one, noted(record.clone(), "1")).await;
    assert_eq!(other.load(record.id).await.unwrap(), None);
    assert_eq!(other.list("ann").await.unwrap(), []);
    let in_other = stored(&other, noted(record, "2")).await;
    assert_eq!(other.expire_owner("ann", None).await.unwrap(), 1);
    assert!(!other.expire(in_other.id).await.unwrap());
    expired(&subject, &one, brief()).await;
    let _ = other.sweep(NonZeroU32::MAX).await.unwrap();
    assert_same(&loaded(&one, in_one.id).await, &in_one);
}

/// An unreadable record is an error for who loads it and for nobody else (A5).
pub async fn an_unreadable_record_hurts_nobody_else(subject: impl Subject) {
    let store = subject.store().await;
    let mut sound = Vec::new();
    for _ in 0..2 {
        sound.push(stored(&store, owned(live(), "ann")).await);
    }
    let spoiled = stored(&store, owned(live(), "ann")).await;
    subject.spoil(&store, spoiled.id).await;
    match store.load(spoiled.id).await {
        Err(Error::Corrupt { id, .. }) => assert_eq!(id, spoiled.id),
        other => panic!("expected Corrupt, got {other:?}"),
    }
    for record in &sound {
        assert_same(&loaded(&store, record.id).await, record);
    }
    assert_eq!(store.list("ann").await.unwrap().len(), 2);
    assert!(store.stats().await.unwrap().browser >= 2);
    let _ = store.sweep(NonZeroU32::MAX).await.unwrap();
    assert!(store.expire_owner("ann", None).await.unwrap() >= 2);
    for record in &sound {
        assert!(!is_live(&store, record.id).await);
    }
}

/// An unreadable record can be ended, and then it is no error any more (A5).
pub async fn an_unreadable_record_can_be_ended(subject: impl Subject) {
    let store = subject.store().await;
    let spoiled = stored(&store, owned(live(), "ann")).await;
    subject.spoil(&store, spoiled.id).await;
    store.expire(spoiled.id).await.unwrap();
    assert_eq!(store.load(spoiled.id).await.unwrap(), None);
    assert_eq!(store.save(&spoiled).await.unwrap(), Saved::Gone);
}

/// Signing out everywhere ends what cannot be read, such as what a later version has stored (O2).
pub async fn an_unreadable_record_ends_with_its_owners_others(subject: impl Subject) {
    let store = subject.store().await;
    let sound = stored(&store, owned(live(), "ann")).await;
    let others = stored(&store, owned(live(), "bob")).await;
    for spoiled in [owned(live(), "ann"), owned(live(), "ann")] {
        let spoiled = stored(&store, spoiled).await;
        subject.spoil(&store, spoiled.id).await;
        store.expire_owner("ann", Some(sound.id)).await.unwrap();
        assert_eq!(store.load(spoiled.id).await.unwrap(), None);
        assert_eq!(store.save(&spoiled).await.unwrap(), Saved::Gone);
    }
    assert!(is_live(&store, sound.id).await && is_live(&store, others.id).await);
    subject.spoil(&store, others.id).await;
    store.expire_owner("ann", None).await.unwrap();
    assert!(!is_live(&store, sound.id).await);
    let left = store.load(others.id).await;
    assert!(matches!(left, Err(Error::Corrupt { .. })), "{left:?}");
}

/// A record that is too large is refused whole (A4).
pub async fn a_record_over_the_limit_is_refused(subject: impl Subject) {
    let store = subject.store().await;
    let value = "9".repeat(RECORD_LIMIT);
    let data = Data::new(&BTreeMap::from([("k", &*value)])).unwrap();
    let new = Record {
        data: data.clone(),
        ..live()
    };
    assert!(matches!(
        store.save(&new).await,
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(store.load(new.id).await.unwrap(), None);
    let old = stored(&store, live()).await;
    let grown = Record {
        data,
        ..old.clone()
    };
    assert!(matches!(
        store.save(&grown).await,
        Err(Error::TooLarge { .. })
    ));
    let moved = Record {
        id: new_id(),
        ..grown
    };
    let rotated = store.rotate(old.id, &moved, Age::Keep).await;
    assert!(matches!(rotated, Err(Error::TooLarge { .. })));
    assert_same(&loaded(&store, old.id).await, &old);
}

/// Live sessions are counted by persistence, dead ones apart.
pub async fn what_is_stored_is_counted(subject: impl Subject) {
    let store = subject.store().await;
    let empty = store.stats().await.unwrap();
    assert_eq!((empty.browser, empty.persistent, empty.expired), (0, 0, 0));
    assert_eq!(empty.oldest_expiry, None);
    for _ in 0..3 {
        stored(&store, live()).await;
    }
    let mut persistent = live();
    persistent.lifetime = crate::Lifetime::PERSISTENT;
    let persistent = stored(&store, persistent).await;
    assert_eq!(persistent.lifetime.persistence(), Persistence::Persistent);
    expired(&subject, &store, brief()).await;
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.browser, stats.persistent), (3, 1));
    assert!(stats.expired <= 1);
    assert!(stats.oldest_expiry.unwrap() <= persistent.stamp.unwrap().expires_at);
}

/// A ping of a working store succeeds.
pub async fn a_store_that_works_answers_a_ping(subject: impl Subject) {
    subject.store().await.ping().await.unwrap();
}

/// A call that is dropped after some polls leaves the state before or the state after, and a
/// working store (A1).
pub async fn a_dropped_call_leaves_the_state_before_or_after(subject: impl Subject) {
    let [store, node] = super::two_nodes(&subject).await;
    let mut drops = 0;
    let bystander = stored(&store, noted(live(), "0")).await;
    for polls in [1, 2, 3, 5, 10, 30, 100, 300] {
        for _ in 0..10 {
            let created = noted(live(), "1");
            drops += u32::from(polled(polls, store.save(&created)).await.is_none());
            settled(
                || revision_and_data(&node, created.id),
                |state| [None, Some((1, created.data.clone()))].contains(state),
            )
            .await;

            let old = stored(&store, noted(live(), "1")).await;
            let changed = noted(old.clone(), "2");
            drops += u32::from(polled(polls, store.save(&changed)).await.is_none());
            settled(
                || revision_and_data(&node, old.id),
                |state| {
                    [Some((1, old.data.clone())), Some((2, changed.data.clone()))].contains(state)
                },
            )
            .await;

            let old = stored(&store, noted(live(), "1")).await;
            let moved = Record {
                id: new_id(),
                ..old.clone()
            };
            drops += u32::from(
                polled(polls, store.rotate(old.id, &moved, Age::Keep))
                    .await
                    .is_none(),
            );
            settled(
                || async { (is_live(&node, old.id).await, is_live(&node, moved.id).await) },
                |state| [(true, false), (false, true)].contains(state),
            )
            .await;

            let ended = stored(&store, owned(live(), "ann")).await;
            drops += u32::from(polled(polls, store.expire(ended.id)).await.is_none());
            settled(
                || async {
                    (
                        is_live(&node, ended.id).await,
                        node.list("ann").await.unwrap().len(),
                    )
                },
                |state| [(true, 1), (false, 0)].contains(state),
            )
            .await;
            node.expire(ended.id).await.unwrap();

            let touched = stored(&store, live()).await;
            drops += u32::from(polled(polls, store.touch(touched.id, 1)).await.is_none());
            assert_eq!(loaded(&node, touched.id).await.data, touched.data);

            drops += u32::from(polled(polls, store.load(touched.id)).await.is_none());
            assert_same(&loaded(&store, bystander.id).await, &bystander);
        }
    }
    println!("drops={drops} torn=0 foreign_answers=0");
}

/// Polls at most this often, then drops the future. It does not wait to be woken, but lets others
/// run meanwhile: so each number drops it at another moment of what goes on elsewhere for it.
async fn polled<F: Future>(times: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

async fn revision_and_data(store: &impl SessionStore, id: SessionId) -> Option<(u64, Data)> {
    let found = store.load(id).await.unwrap();
    found.map(|record| (record.revision, record.data))
}

/// Looks until the state is right: a dropped call may still be on its way, and two looks are no
/// single instant. What is torn stays torn.
async fn settled<T: Debug, F: Future<Output = T>>(
    look: impl Fn() -> F,
    right: impl Fn(&T) -> bool,
) {
    for _ in 0..100 {
        if right(&look().await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("torn: {:?}", look().await);
}
