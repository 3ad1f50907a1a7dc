//! What becomes of the dead, and of what is kept about them.

use std::{num::NonZeroU32, time::Duration};

use cloakroom_store_api::{
    Age, Lifetime, ManualClock, Persistence, Record, Saved, SessionStore, Swept,
};

use super::{on, owned, record, stored};
use crate::MemoryStore;

/// How many sessions are in the map, in the calendar, in the index, and counted.
fn kept(store: &MemoryStore) -> [usize; 4] {
    let sessions = &store.sessions;
    [
        sessions.by_id.iter().count(),
        sessions.calendar.len(),
        sessions.owners.len(),
        sessions.stored(),
    ]
}

#[tokio::test]
async fn an_ended_session_leaves_nothing() {
    let store = MemoryStore::new();
    let mut sessions = Vec::new();
    for n in 0..100 {
        sessions.push(stored(&store, owned(&format!("user-{}", n % 50))).await);
    }
    assert_eq!(kept(&store), [100; 4]);
    for old in &sessions[..25] {
        let new = Record {
            id: record().id,
            ..old.clone()
        };
        let saved = store.rotate(old.id, &new, Age::Restart).await.unwrap();
        assert!(matches!(saved, Saved::Stored(_)), "{saved:?}");
    }
    assert_eq!(kept(&store), [100; 4]);
    for session in &sessions[25..50] {
        assert!(store.expire(session.id).await.unwrap());
    }
    assert_eq!(kept(&store), [75; 4]);
    for session in &sessions[50..75] {
        let ends_at_once = Record {
            lifetime: Lifetime::new(Persistence::Browser, Duration::ZERO, Duration::ZERO),
            ..session.clone()
        };
        assert_eq!(store.save(&ends_at_once).await.unwrap(), Saved::Gone);
    }
    assert_eq!(kept(&store), [50; 4]);
    for n in 0..50 {
        store
            .expire_owner(&format!("user-{n}"), None)
            .await
            .unwrap();
    }
    assert_eq!(kept(&store), [0; 4]);
}

#[tokio::test]
async fn the_index_follows_the_owner() {
    let store = MemoryStore::new();
    let mut session = stored(&store, owned("ann")).await;
    for owner in [Some("bob"), None, Some("ann"), Some("ann")] {
        session.owner = owner.map(|owner| owner.parse().unwrap());
        session = stored(&store, session).await;
        let listed = [
            store.list("ann").await.unwrap(),
            store.list("bob").await.unwrap(),
        ];
        assert_eq!(
            listed.map(|listed| listed.len()),
            [
                usize::from(owner == Some("ann")),
                usize::from(owner == Some("bob")),
            ]
        );
        assert_eq!(kept(&store)[2], usize::from(owner.is_some()));
    }
}

#[tokio::test]
async fn a_session_in_use_outlives_the_date_it_was_filed_under() {
    let clock = ManualClock::new();
    let store = on(&clock);
    let mut session = stored(&store, owned("ann")).await;
    let nothing = Swept {
        removed: 0,
        more: false,
    };
    for n in 0..30 {
        clock.advance(Duration::from_mins(20));
        match n % 2 {
            0 => session = stored(&store, session).await,
            _ => assert!(
                store
                    .touch(session.id, session.revision)
                    .await
                    .unwrap()
                    .is_some()
            ),
        }
        assert_eq!(store.sweep(NonZeroU32::MAX).await.unwrap(), nothing);
        assert_eq!(kept(&store), [1; 4]);
    }
    assert_eq!(store.list("ann").await.unwrap().len(), 1);

    clock.advance(Duration::from_mins(31));
    assert_eq!(store.sweep(NonZeroU32::MAX).await.unwrap().removed, 1);
    assert_eq!(kept(&store), [0; 4]);
}

#[tokio::test]
async fn who_writes_reclaims_the_dead() {
    let clock = ManualClock::new();
    let store = on(&clock);
    let persistent = Record {
        lifetime: Lifetime::PERSISTENT,
        ..record()
    };
    let mut alive = stored(&store, persistent).await;
    for writes in 0..3 {
        for _ in 0..100 {
            stored(&store, owned("ann")).await;
        }
        clock.advance(Duration::from_hours(1));
        for _ in 0..20 {
            match writes {
                0 => alive = stored(&store, alive).await,
                1 => assert!(
                    store
                        .touch(alive.id, alive.revision)
                        .await
                        .unwrap()
                        .is_some()
                ),
                _ => assert!(
                    store
                        .expire(stored(&store, record()).await.id)
                        .await
                        .unwrap()
                ),
            }
        }
        assert_eq!(kept(&store), [1, 1, 0, 1]);
    }
}

#[tokio::test]
async fn a_session_made_shorter_is_reclaimed_when_it_dies() {
    let clock = ManualClock::new();
    let store = on(&clock);
    let persistent = Record {
        lifetime: Lifetime::PERSISTENT,
        ..record()
    };
    let mut session = stored(&store, persistent).await;
    for lifetime in [Lifetime::BROWSER, Lifetime::PERSISTENT, Lifetime::BROWSER] {
        session.lifetime = lifetime;
        session = stored(&store, session).await;
        assert_eq!(kept(&store), [1, 1, 0, 1]);
    }
    clock.advance(Duration::from_mins(36));
    assert_eq!(store.sweep(NonZeroU32::MAX).await.unwrap().removed, 1);
}

/// W1: in steps.
#[tokio::test]
async fn a_sweep_counts_what_it_removes() {
    let clock = ManualClock::new();
    let store = on(&clock);
    for _ in 0..10 {
        stored(&store, record()).await;
    }
    clock.advance(Duration::from_hours(1));
    let limit = NonZeroU32::new(4).unwrap();
    let mut steps = Vec::new();
    for _ in 0..3 {
        let Swept { removed, more } = store.sweep(limit).await.unwrap();
        steps.push((removed, more));
    }
    assert_eq!(steps, [(4, true), (4, true), (2, false)]);
    assert_eq!(store.stats().await.unwrap().expired, 0);
}

/// Its date has not come when it dies.
#[tokio::test]
async fn a_session_is_dead_before_it_is_reclaimed() {
    let clock = ManualClock::new();
    let store = on(&clock);
    let moment = Duration::from_millis(1);
    let lifetime = Lifetime::new(Persistence::Browser, moment, moment);
    let session = stored(
        &store,
        Record {
            lifetime,
            ..record()
        },
    )
    .await;
    clock.advance(moment);
    assert_eq!(store.load(session.id).await.unwrap(), None);
    assert_eq!(store.stats().await.unwrap().expired, 1);
}
