#![doc = include_str!("../README.md")]

mod by_id;
mod calendar;
mod changes;
mod config;
mod owners;
mod sessions;
mod slot;

use std::{cmp::Reverse, fmt, num::NonZeroU32, sync::Arc};

use cloakroom_store_api::{
    Age, RECORD_LIMIT, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept,
    async_trait,
};

use crate::sessions::Sessions;

pub use crate::config::MemoryStoreBuilder;

/// Sessions in the memory of this process.
///
/// Clones are the same store. Records are kept encoded; nothing is durable (S5).
#[derive(Clone)]
pub struct MemoryStore {
    sessions: Arc<Sessions>,
}

impl MemoryStore {
    /// An empty, unbounded store on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// For a store that is bounded, or on another clock.
    #[must_use]
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    /// Makes the stored record of this session unreadable, as the conformance kit asks. There is
    /// nothing to do where there is none.
    #[cfg(any(test, feature = "conformance"))]
    #[doc(hidden)]
    pub fn spoil(&self, id: SessionId) {
        if let Some(slot) = self.sessions.find(id)
            && let Some(kept) = slot.lock().kept.as_mut()
        {
            kept.is_spoiled = true;
        }
    }

    /// Makes the next sweep look at every session, as the conformance kit asks.
    #[cfg(any(test, feature = "conformance"))]
    #[doc(hidden)]
    pub fn make_due(&self) {
        let long_ago = cloakroom_store_api::Timestamp::from_millis(0);
        for slot in self.sessions.by_id.iter() {
            let _stripe = self.sessions.lock(slot.id);
            if slot.lock().held().is_some() {
                self.sessions.calendar.file(&slot, long_ago, long_ago);
            }
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

// No call awaits anything, so none can be dropped half-way (A1).
#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        let Some(slot) = self.sessions.find(id) else {
            return Ok(None);
        };
        let locked = slot.lock();
        let now = self.sessions.now();
        locked
            .live(now)
            .map(|kept| kept.record(id, now))
            .transpose()
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        check_size(record)?;
        self.sessions.save(record)
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        Ok(self.sessions.touch(id, revision))
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        check_size(record)?;
        Ok(self.sessions.rotate(old, record, age))
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        Ok(self.sessions.expire(id))
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        // Behind the gate no session is between two ids.
        let _gate = self.sessions.owners.close(owner);
        let mut records = Vec::new();
        for slot in self.sessions.owners.sessions(owner) {
            let locked = slot.lock();
            let now = self.sessions.now();
            let live = locked.live(now).filter(|_| locked.is_of(owner));
            // An unreadable one is left out (A5).
            records.extend(live.and_then(|kept| kept.record(slot.id, now).ok()));
        }
        records.sort_by_key(|record| Reverse(record.stamp.map(|stamp| stamp.created_at)));
        Ok(records)
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        Ok(self.sessions.expire_owner(owner, except))
    }

    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept> {
        Ok(self.sessions.sweep(limit))
    }

    async fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        for slot in self.sessions.by_id.iter() {
            let locked = slot.lock();
            if let Some(held) = locked.held() {
                stats.count(held, self.sessions.now());
            }
        }
        Ok(stats)
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

/// Refuses what no store keeps. What is far from that is not measured: beside the entries there
/// are an owner of 256 bytes at most, and some numbers.
fn check_size(record: &Record) -> Result<()> {
    if record.data.size() > RECORD_LIMIT / 2 {
        record.encoded_size()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
