use std::sync::{
    Arc,
    atomic::{AtomicI32, AtomicU32},
};

use cloakroom_store_api::{Data, Held, Owner, Record, Result, SessionId, Timestamp};
use parking_lot::{Mutex, MutexGuard};

/// The place of one session, from its creation to its end.
///
/// A save and a touch change what is kept in it, so that neither the map nor the calendar has to be
/// written for them.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SessionId,
    kept: Mutex<Option<Kept>>,
    /// Where the calendar has the slot. Written under the calendar's lock.
    pub(crate) date: AtomicI32,
    pub(crate) position: AtomicU32,
}

/// What is kept of one session.
///
/// Its entries stay encoded and are shared with the records that were saved and loaded. There is no
/// checksum: nobody writes to memory but this process.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) held: Held,
    pub(crate) owner: Option<Owner>,
    pub(crate) data: Data,
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) is_spoiled: bool,
}

/// A slot under its lock.
///
/// It is empty once the session has ended: whoever finds a slot before it is taken from the map
/// sees that here.
pub(crate) struct Locked<'a> {
    pub(crate) slot: &'a Arc<Slot>,
    pub(crate) kept: MutexGuard<'a, Option<Kept>>,
}

impl Slot {
    pub(crate) fn new(id: SessionId, kept: Kept) -> Arc<Self> {
        Arc::new(Self {
            id,
            kept: Mutex::new(Some(kept)),
            date: AtomicI32::new(crate::calendar::NEVER),
            position: AtomicU32::new(0),
        })
    }

    pub(crate) fn lock(self: &Arc<Self>) -> Locked<'_> {
        Locked {
            slot: self,
            kept: self.kept.lock(),
        }
    }
}

impl Slot {
    /// Whose the session is, if nobody has the lock.
    pub(crate) fn try_owner(&self) -> Option<Owner> {
        self.kept.try_lock()?.as_ref()?.owner.clone()
    }
}

impl Locked<'_> {
    pub(crate) fn held(&self) -> Option<&Held> {
        self.kept.as_ref().map(|kept| &kept.held)
    }

    pub(crate) fn is_of(&self, owner: &str) -> bool {
        let kept = self.kept.as_ref();
        kept.is_some_and(|kept| kept.owner.as_deref() == Some(owner))
    }

    pub(crate) fn live(&self, now: Timestamp) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| kept.held.is_live(now))
    }
}

impl Kept {
    pub(crate) fn new(record: &Record, held: Held, owner: Option<Owner>) -> Self {
        Self {
            held,
            owner,
            data: record.data.clone(),
            #[cfg(any(test, feature = "conformance"))]
            is_spoiled: false,
        }
    }

    pub(crate) fn record(&self, id: SessionId, now: Timestamp) -> Result<Record> {
        #[cfg(any(test, feature = "conformance"))]
        if self.is_spoiled {
            return Err(cloakroom_store_api::Error::corrupt(id, "spoiled"));
        }
        Ok(Record {
            id,
            revision: self.held.revision,
            lifetime: self.held.lifetime,
            owner: self.owner.clone(),
            data: self.data.clone(),
            stamp: Some(self.held.stamp(now)),
        })
    }
}
