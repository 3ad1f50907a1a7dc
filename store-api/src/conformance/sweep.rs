//! [`sweep`](crate::SessionStore::sweep), one sweeper at a time.

use std::num::NonZeroU32;

use super::{AFTER_SOON, HOUR, Subject, assert_same, brief, live, loaded, owned, stored};
use crate::{SessionStore, Swept};

/// Stores this many sessions and lets them die, more than an hour ago where the clock allows.
pub(super) async fn dead_sessions<S: Subject>(subject: &S, store: &S::Store, count: u64) {
    for _ in 0..count {
        stored(store, owned(brief(), "ann")).await;
    }
    match subject.clock() {
        Some(clock) => clock.advance(2 * HOUR),
        None => subject.pass(AFTER_SOON).await,
    }
    subject.due(store).await;
}

/// Calls `sweep` until there is no more; says how much was removed.
async fn sweep_all(store: &impl SessionStore, limit: u32) -> u64 {
    let limit = NonZeroU32::new(limit).expect("a limit");
    let mut total = 0;
    for _ in 0..1_000 {
        let Swept { removed, more } = store.sweep(limit).await.unwrap();
        assert!(
            removed <= u64::from(limit.get()),
            "{removed} removed of at most {limit}"
        );
        total += removed;
        if !more {
            return total;
        }
    }
    panic!("a thousand sweeps and still more");
}

/// Live sessions stay as they are, and dead ones stay dead (W1).
pub async fn a_sweep_removes_only_the_dead(subject: impl Subject) {
    let store = subject.store().await;
    dead_sessions(&subject, &store, 20).await;
    let alive = stored(&store, owned(live(), "ann")).await;
    let removed = sweep_all(&store, 1_000).await;
    assert!(removed <= 20, "{removed} removed, 20 dead");
    assert_same(&loaded(&store, alive.id).await, &alive);
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.browser, stats.persistent), (1, 0));
    assert!(stats.expired <= 20 - removed);
}

/// One step removes at most as many as it was told, and steps come to an end (W1).
pub async fn a_sweep_is_bounded(subject: impl Subject) {
    let store = subject.store().await;
    dead_sessions(&subject, &store, 20).await;
    let removed = sweep_all(&store, 3).await;
    assert!(removed <= 20, "{removed} removed, 20 dead");
}

/// Where nothing is dead, nothing is removed and no second call is asked for (W1).
pub async fn an_idle_sweep_has_nothing_to_do(subject: impl Subject) {
    let store = subject.store().await;
    let nothing = Swept {
        removed: 0,
        more: false,
    };
    assert_eq!(store.sweep(NonZeroU32::MAX).await.unwrap(), nothing);
    let alive = stored(&store, live()).await;
    assert_eq!(store.sweep(NonZeroU32::MIN).await.unwrap(), nothing);
    assert_same(&loaded(&store, alive.id).await, &alive);
}
