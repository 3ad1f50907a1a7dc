//! What only this store has to show; the kit shows the rest.

mod bounds;
mod races;
mod reclaim;

use std::{collections::BTreeMap, sync::Arc};

use cloakroom_store_api::{
    Data, Lifetime, ManualClock, Record, Saved, SessionId, SessionStore, SessionToken,
    conformance::Subject,
};
use tokio::runtime::{Builder, Runtime};

use crate::MemoryStore;

cloakroom_store_api::conformance_tests!(Fresh::default());

#[derive(Default)]
struct Fresh {
    clock: ManualClock,
}

impl Subject for Fresh {
    type Store = MemoryStore;

    async fn store(&self) -> MemoryStore {
        on(&self.clock)
    }

    async fn node(&self, store: &MemoryStore) -> MemoryStore {
        store.clone()
    }

    async fn spoil(&self, store: &MemoryStore, id: SessionId) {
        store.spoil(id);
    }

    async fn due(&self, store: &MemoryStore) {
        store.make_due();
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

/// An unbounded store on this clock.
fn on(clock: &ManualClock) -> MemoryStore {
    MemoryStore::builder()
        .clock(Arc::new(clock.clone()))
        .build()
}

fn record() -> Record {
    Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER)
}

fn owned(owner: &str) -> Record {
    Record {
        owner: Some(owner.parse().unwrap()),
        ..record()
    }
}

/// Runs calls of this thread alone.
fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

async fn stored(store: &MemoryStore, record: Record) -> Record {
    match store.save(&record).await.unwrap() {
        Saved::Stored(stamp) => record.stored(stamp),
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn a_touch_shares_the_entries() {
    let store = MemoryStore::new();
    let data = Data::new(&BTreeMap::from([("note", "\"one\"")])).unwrap();
    let record = Record { data, ..record() };
    let _ = store.save(&record).await.unwrap();
    let before = store.load(record.id).await.unwrap().unwrap();
    store.touch(record.id, 1).await.unwrap().unwrap();
    let after = store.load(record.id).await.unwrap().unwrap();
    assert!(std::ptr::eq(
        before.data.get("note").unwrap(),
        after.data.get("note").unwrap()
    ));
}
