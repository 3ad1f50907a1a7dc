//! The checks that every store passes: the contract of [`SessionStore`], sentence by sentence.
//!
//! Each check is a plain function whose documentation names the letter it shows.
//! [`conformance_tests!`](crate::conformance_tests) turns all of them into tests of your store:
//!
//! ```ignore
//! cloakroom_store_api::conformance_tests!(Fresh::default());
//!
//! #[derive(Default)]
//! struct Fresh {
//!     clock: ManualClock,
//! }
//!
//! impl Subject for Fresh {
//!     type Store = Arc<TinyStore>;
//!
//!     async fn store(&self) -> Self::Store {
//!         Arc::new(TinyStore::new(Arc::new(self.clock.clone())))
//!     }
//!
//!     async fn node(&self, store: &Self::Store) -> Self::Store {
//!         Arc::clone(store)
//!     }
//!
//!     async fn spoil(&self, store: &Self::Store, id: SessionId) {
//!         store.spoil(id);
//!     }
//!
//!     fn clock(&self) -> Option<&ManualClock> {
//!         Some(&self.clock)
//!     }
//! }
//! ```
//!
//! Races print what they tried, such as `rounds=2000 revived=0`. `CLOAKROOM_ROUNDS` sets the
//! number of rounds of every race.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use crate::{
    Data, Lifetime, ManualClock, Persistence, Record, Saved, SessionId, SessionStore, SessionToken,
    Stamp,
};

pub mod all;
pub mod expire;
mod list;
pub mod load;
pub mod owners;
pub mod races;
pub mod rotate;
pub mod save;
pub mod sweep;
pub mod touch;

/// A kind of store under test.
pub trait Subject: Send + Sync + 'static {
    /// The store.
    type Store: SessionStore;

    /// A store that is empty and shares nothing with any other.
    fn store(&self) -> impl Future<Output = Self::Store> + Send;

    /// Another handle on the same data, as another process of the application would have.
    fn node(&self, store: &Self::Store) -> impl Future<Output = Self::Store> + Send;

    /// Makes the stored record of this session unreadable.
    fn spoil(&self, store: &Self::Store, id: SessionId) -> impl Future<Output = ()> + Send;

    /// Makes the next sweep look at everything stored, where a store leaves the newly dead alone
    /// for a while: what it removes is then up to its judgement of each. Nothing by default.
    fn due(&self, store: &Self::Store) -> impl Future<Output = ()> + Send {
        let _ = store;
        async {}
    }

    /// The clock of the stores, where it can be injected. Boundaries are then checked to the
    /// millisecond, otherwise with margins.
    fn clock(&self) -> Option<&ManualClock> {
        None
    }

    /// Lets time pass on the stores' clock.
    fn pass(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        async move {
            match self.clock() {
                Some(clock) => clock.advance(duration),
                None => tokio::time::sleep(duration).await,
            }
        }
    }
}

/// Turns every check of the [conformance kit](crate::conformance) into a test of one store.
///
/// The argument is an expression that makes a [`Subject`](crate::conformance::Subject); each
/// test evaluates it anew.
#[macro_export]
macro_rules! conformance_tests {
    ($subject:expr) => {
        $crate::__conformance_checks!([$crate::__conformance_test]($subject));
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    (($subject:expr) $($module:ident::$check:ident)*) => {$(
        #[test]
        fn $check() {
            $crate::conformance::run($crate::conformance::$module::$check($subject));
        }
    )*};
}

/// Runs one check on a runtime of its own, with four threads, so that races are races.
///
/// # Panics
///
/// If the check fails.
pub fn run(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be started")
        .block_on(check);
}

/// How soon a session dies that a check lets die.
const SOON: Duration = Duration::from_millis(50);

/// Longer than `SOON`, by a margin for stores whose clock is not injected.
const AFTER_SOON: Duration = Duration::from_millis(80);

/// How long a session lives that a check wants alive.
const HOUR: Duration = Duration::from_hours(1);

/// A record that was never stored and lives long.
fn live() -> Record {
    record(HOUR, 24 * HOUR)
}

/// A record that was never stored and dies soon.
fn brief() -> Record {
    record(SOON, HOUR)
}

fn record(idle: Duration, absolute: Duration) -> Record {
    Record::new(
        new_id(),
        Lifetime::new(Persistence::Browser, idle, absolute),
    )
}

fn new_id() -> SessionId {
    SessionToken::generate()
        .expect("the system has random numbers")
        .id()
}

/// The record with one more entry, or another value of it.
fn noted(record: Record, note: &str) -> Record {
    Record {
        data: Data::new(&BTreeMap::from([("note", note)])).expect("one short entry"),
        ..record
    }
}

fn owned(record: Record, owner: &str) -> Record {
    Record {
        owner: Some(owner.parse().expect("an owner")),
        ..record
    }
}

/// Saves and expects it to be stored; gives the record as it is stored now.
async fn stored(store: &impl SessionStore, record: Record) -> Record {
    let stamp = expect_stored(store.save(&record).await.unwrap());
    record.stored(stamp)
}

fn expect_stored(saved: Saved) -> Stamp {
    match saved {
        Saved::Stored(stamp) => stamp,
        other => panic!("expected Stored, got {other:?}"),
    }
}

/// Loads and expects a live session.
async fn loaded(store: &impl SessionStore, id: SessionId) -> Record {
    store.load(id).await.unwrap().expect("a live session")
}

async fn is_live(store: &impl SessionStore, id: SessionId) -> bool {
    store.load(id).await.unwrap().is_some()
}

/// Whether two records are the same but for how much time remains.
fn assert_same(found: &Record, expected: &Record) {
    let timeless = |record: &Record| Record {
        stamp: record.stamp.map(|stamp| Stamp {
            remaining: Duration::ZERO,
            ..stamp
        }),
        ..record.clone()
    };
    assert_eq!(timeless(found), timeless(expected));
}

/// Stores a session and lets it die.
async fn expired(subject: &impl Subject, store: &impl SessionStore, record: Record) -> Record {
    let record = stored(store, record).await;
    subject.pass(AFTER_SOON).await;
    record
}

/// How many rounds a race has.
fn rounds(usual: u32) -> u32 {
    std::env::var("CLOAKROOM_ROUNDS")
        .ok()
        .map_or(usual, |rounds| {
            rounds.parse().expect("CLOAKROOM_ROUNDS is a number")
        })
}

/// A store and another node of it, to be shared by tasks.
async fn two_nodes<S: Subject>(subject: &S) -> [Arc<S::Store>; 2] {
    let store = subject.store().await;
    let node = subject.node(&store).await;
    [Arc::new(store), Arc::new(node)]
}
