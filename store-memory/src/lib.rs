#![doc = include_str!("../README.md")]

mod config;
mod entry;
mod owners;
mod sessions;

use std::{cmp::Reverse, fmt, num::NonZeroU32, sync::Arc};

use cloakroom_store_api::{
    Age, Held, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept, Verdict,
    async_trait,
};

use crate::{entry::Entry, sessions::Sessions};

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
        let _lock = self.sessions.lock(id);
        if let Some(found) = self.sessions.get(id) {
            self.sessions.admit(id, Some(&found), found.spoiled());
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
        let look = || (self.sessions.get(id), self.sessions.now());
        let (mut found, mut now) = look();
        if found.as_ref().is_some_and(|entry| !entry.held.is_live(now)) {
            // A touch or a save that was judged before the deadline may not be written yet. Called
            // dead here, the session would come back.
            let _lock = self.sessions.lock(id);
            (found, now) = look();
        }
        let live = found.filter(|entry| entry.held.is_live(now));
        live.map(|entry| entry.record(id, now)).transpose()
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        record.encoded_size()?;
        let _gate = self.sessions.owners.gate(record.owner.as_ref());
        let _lock = self.sessions.lock(record.id);
        let now = self.sessions.now();
        let found = self.sessions.get(record.id);
        let verdict = Held::save(found.as_ref().map(|entry| &entry.held), record, now);
        match verdict {
            Verdict::Store(held) => {
                let entry = Entry::new(record, held);
                self.sessions.put(record.id, found.as_ref(), entry)?;
            }
            Verdict::End => self.sessions.remove(record.id),
            Verdict::Conflict | Verdict::Gone => {}
        }
        Ok(verdict.answer(now))
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        let _lock = self.sessions.lock(id);
        let now = self.sessions.now();
        let Some(found) = self.sessions.get(id) else {
            return Ok(None);
        };
        let Some(held) = found.held.touch(revision, now) else {
            return Ok(None);
        };
        self.sessions.put(id, Some(&found), found.touched(held))?;
        Ok(Some(held.stamp(now)))
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        record.encoded_size()?;
        let _gate = self.sessions.owners.gate(record.owner.as_ref());
        let _locks = self.sessions.lock_both(old, record.id);
        let now = self.sessions.now();
        let [from, to] = [old, record.id].map(|id| self.sessions.get(id));
        let verdict = Held::rotate(
            from.as_ref().map(|entry| &entry.held),
            to.as_ref().map(|entry| &entry.held),
            record,
            age,
            now,
        );
        if let Verdict::Store(_) | Verdict::End = verdict {
            // Out before in: at no instant is the session live under both ids.
            self.sessions.remove(old);
        }
        if let Verdict::Store(held) = verdict {
            self.sessions
                .admit(record.id, to.as_ref(), Entry::new(record, held));
        }
        Ok(verdict.answer(now))
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        let _lock = self.sessions.lock(id);
        Ok(self.sessions.end(id))
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        // Behind the gate no session is between two ids.
        let _gate = self.sessions.owners.close(owner);
        let now = self.sessions.now();
        let entries = self
            .sessions
            .owners
            .sessions(owner)
            .into_iter()
            .filter_map(|id| {
                let entry = self.sessions.get(id)?;
                (entry.held.is_live(now) && entry.is_of(owner)).then_some((id, entry))
            });
        // An unreadable one is left out (A5).
        let readable = entries.filter_map(|(id, entry)| entry.record(id, now).ok());
        let mut records: Vec<_> = readable.collect();
        records.sort_by_key(|record| Reverse(record.stamp.map(|stamp| stamp.created_at)));
        Ok(records)
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        // Behind the gate no session becomes this owner's, by save or by rotation (O2).
        let _gate = self.sessions.owners.close(owner);
        let mut ended = 0;
        for id in self.sessions.owners.sessions(owner) {
            let _lock = self.sessions.lock(id);
            let theirs = self
                .sessions
                .get(id)
                .is_some_and(|entry| entry.is_of(owner));
            if theirs && Some(id) != except {
                ended += u64::from(self.sessions.end(id));
            }
        }
        Ok(ended)
    }

    /// Has moka reclaim what is dead, which it otherwise does while sessions are used.
    ///
    /// It says nothing of how many those were: `removed` is always 0.
    async fn sweep(&self, _limit: NonZeroU32) -> Result<Swept> {
        self.sessions.reclaim();
        Ok(Swept {
            removed: 0,
            more: false,
        })
    }

    async fn stats(&self) -> Result<Stats> {
        let now = self.sessions.now();
        let mut stats = Stats::default();
        self.sessions
            .for_each(|entry| stats.count(&entry.held, now));
        Ok(stats)
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
