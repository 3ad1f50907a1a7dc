//! What is only this store's own.

use std::{
    collections::BTreeMap,
    error::Error as _,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use cloakroom_store_api::{
    Age, Data, Error, Lifetime, ManualClock, Persistence, Record, Result, Saved, SessionId,
    SessionStore, SessionToken, Timestamp,
};
use tempfile::TempDir;

use crate::{Durability, SledStore, SledStoreBuilder, cache::SHARDS, reads::Found};

mod clock;
mod conformance;
mod crash;
mod filing;
mod opening;
mod remembering;
mod touching;
mod unreadable;
mod writer;

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
    let builder = SledStore::builder(folder.path());
    open_free(&builder.clock(Arc::new(clock.clone()))).unwrap()
}

fn reopened(folder: &TempDir) -> SledStore {
    open_free(&SledStore::builder(folder.path())).unwrap()
}

/// Opens a folder that nobody has open.
///
/// Where the machine stalls, sled's own threads may have its lock for longer than an opening waits
/// for them.
fn open_free(builder: &SledStoreBuilder) -> Result<SledStore> {
    let asked = Instant::now();
    loop {
        match builder.clone().open() {
            Err(Error::Unavailable(_)) if asked.elapsed() < Duration::from_secs(10) => {}
            opened => return opened,
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Replaces a row by what has not even a header.
fn wreck(store: &SledStore, id: SessionId) {
    replace(store, id, b"wreck");
}

/// Replaces a row behind the store's back.
fn replace(store: &SledStore, id: SessionId, row: &[u8]) {
    let shared = &store.0.shared;
    shared.trees.records.insert(id.as_bytes(), row).unwrap();
    shared.cache.forget(id);
}

/// Writes the touches that are in memory, as the writer does now and then.
fn write_touches(store: &SledStore) {
    let shared = &store.0.shared;
    for shard in 0..SHARDS {
        shared.write_touches(shard).unwrap();
    }
}

fn failure(opened: Result<SledStore>) -> Error {
    opened.expect_err("the folder cannot be opened")
}

fn is_corrupt<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Corrupt { .. }))
}

async fn is_live(store: &SledStore, id: SessionId) -> bool {
    store.load(id).await.unwrap().is_some()
}

/// No tree holds anything of a session, and no touch waits to be written.
fn assert_empty(store: &SledStore) {
    assert_eq!(store.0.shared.cache.touches(), 0);
    let trees = &store.0.shared.trees;
    for tree in [
        &trees.records,
        &trees.deadlines,
        &trees.expiry,
        &trees.owners,
    ] {
        assert_eq!(tree.len(), 0, "{tree:?}");
    }
}

const MANY: NonZeroU32 = NonZeroU32::MAX;
