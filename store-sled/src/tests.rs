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

use crate::{Durability, SledStore};

mod clock;
mod conformance;
mod crash;
mod filing;
mod opening;
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
    SledStore::builder(folder.path())
        .clock(Arc::new(clock.clone()))
        .open()
        .unwrap()
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Replaces a row by what has not even a header.
fn wreck(store: &SledStore, id: SessionId) {
    let records = &store.0.shared.trees.records;
    records.insert(id.as_bytes(), b"wreck").unwrap();
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

/// No tree holds anything of a session.
fn assert_empty(store: &SledStore) {
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
