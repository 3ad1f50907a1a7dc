use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cloakroom_store_api::{Data, Held, Owner, Record, Result, SessionId, Timestamp};

/// What is kept of one session.
///
/// Its entries stay encoded, and it has no checksum: nobody writes to memory but this process.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) held: Held,
    pub(crate) owner: Option<Owner>,
    /// No two entries have the same number. The index keeps it, so that news of an old entry
    /// cannot undo what was written for a new one.
    pub(crate) number: u64,
    data: Data,
    #[cfg(any(test, feature = "conformance"))]
    is_spoiled: bool,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Entry {
    pub(crate) fn new(record: &Record, held: Held) -> Self {
        Self {
            held,
            owner: record.owner.clone(),
            number: NEXT.fetch_add(1, Relaxed),
            data: record.data.clone(),
            #[cfg(any(test, feature = "conformance"))]
            is_spoiled: false,
        }
    }

    /// The same with a later deadline. The entries are shared, not written again (T3).
    pub(crate) fn touched(&self, held: Held) -> Self {
        Self {
            held,
            number: NEXT.fetch_add(1, Relaxed),
            ..self.clone()
        }
    }

    pub(crate) fn record(self, id: SessionId, now: Timestamp) -> Result<Record> {
        #[cfg(any(test, feature = "conformance"))]
        if self.is_spoiled {
            return Err(cloakroom_store_api::Error::corrupt(id, "spoiled"));
        }
        Ok(Record {
            id,
            revision: self.held.revision,
            lifetime: self.held.lifetime,
            owner: self.owner,
            data: self.data,
            stamp: Some(self.held.stamp(now)),
        })
    }

    pub(crate) fn is_of(&self, owner: &str) -> bool {
        self.owner.as_deref() == Some(owner)
    }

    /// The same, but it cannot be read.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn spoiled(&self) -> Self {
        Self {
            is_spoiled: true,
            number: NEXT.fetch_add(1, Relaxed),
            ..self.clone()
        }
    }
}
