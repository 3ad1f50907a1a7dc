use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use cloakroom_store_api::{Held, Owner, Record, Result, SessionId, Timestamp};

/// What is kept of one session.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) held: Held,
    pub(crate) owner: Option<Owner>,
    /// No two entries have the same number. The index keeps it, so that news of an old entry
    /// cannot undo what was written for a new one.
    pub(crate) number: u64,
    bytes: Arc<[u8]>,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Entry {
    pub(crate) fn new(record: &Record, held: Held, bytes: Vec<u8>) -> Self {
        Self {
            held,
            owner: record.owner.clone(),
            number: NEXT.fetch_add(1, Relaxed),
            bytes: bytes.into(),
        }
    }

    /// The same with a later deadline. The bytes are shared, not written again (T3).
    pub(crate) fn touched(&self, held: Held) -> Self {
        Self {
            held,
            number: NEXT.fetch_add(1, Relaxed),
            ..self.clone()
        }
    }

    pub(crate) fn record(&self, id: SessionId, now: Timestamp) -> Result<Record> {
        let Held { revision, .. } = self.held;
        Record::decode(id, revision, self.held.stamp(now), Arc::clone(&self.bytes))
    }

    pub(crate) fn is_of(&self, owner: &str) -> bool {
        self.owner.as_deref() == Some(owner)
    }

    #[cfg(test)]
    pub(crate) fn shares_bytes(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    /// The same with bytes that cannot be read.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn spoiled(&self) -> Self {
        Self {
            bytes: self.bytes[1..].into(),
            number: NEXT.fetch_add(1, Relaxed),
            ..self.clone()
        }
    }
}
