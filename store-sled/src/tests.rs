//! What is only this store's own.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use cloakroom_store_api::{
    Data, Error, Lifetime, ManualClock, Persistence, Record, Saved, SessionId, SessionStore,
    SessionToken, Stamp, Timestamp,
};
use tempfile::TempDir;

use crate::{Durability, SledStore};

mod conformance;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn new_record(owner: Option<&str>) -> Record {
    let data = Data::new(&BTreeMap::from([("cart", "[1,2,3]")])).unwrap();
    Record {
        owner: owner.map(|owner| owner.parse().unwrap()),
        data,
        ..Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER)
    }
}

async fn stored(store: &SledStore, record: Record) -> Record {
    match store.save(&record).await.unwrap() {
        Saved::Stored(stamp) => record.stored(stamp),
        other => panic!("{other:?}"),
    }
}

fn at(folder: &TempDir, clock: &ManualClock) -> SledStore {
    SledStore::builder(folder.path())
        .clock(Arc::new(clock.clone()))
        .open()
        .unwrap()
}

/// Flips a bit in what the record's checksum protects.
fn spoil(store: &SledStore, id: SessionId) {
    let records = &store.0.shared.trees.records;
    let mut row = records.get(id.as_bytes()).unwrap().unwrap().to_vec();
    *row.last_mut().unwrap() ^= 1;
    records.insert(id.as_bytes(), row).unwrap();
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

const MANY: NonZeroU32 = NonZeroU32::MAX;

#[tokio::test]
async fn sessions_and_indexes_survive_reopening_at_once() {
    let folder = folder();
    let mut records: Vec<Record> = Vec::new();
    for round in 0..50 {
        let store = SledStore::open(folder.path()).unwrap();
        for record in &records {
            let found = store.load(record.id).await.unwrap().unwrap();
            assert_eq!((found.revision, &found.data), (1, &record.data));
        }
        records.push(stored(&store, new_record(Some("zoë"))).await);
        let listed = store.list("zoë").await.unwrap();
        assert_eq!(listed.len(), round + 1);
        assert_eq!(store.stats().await.unwrap().browser, round as u64 + 1);
    }
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.expire_owner("zoë", None).await.unwrap(), 50);
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.list("zoë").await.unwrap(), []);
    assert_eq!(store.0.shared.trees.expiry.len(), 0);
}
