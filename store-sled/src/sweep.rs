use std::{num::NonZeroU32, time::Duration};

use cloakroom_store_api::{Result, Swept, Timestamp};
use sled::IVec;

use crate::{
    batch::{self, Batch, Entry},
    changes::Place,
    error::sorted,
    row::Expiry,
};

/// The most that one step of a sweep looks at.
const SWEEP_STEP: usize = 4096;

/// When to look again at a session of a later format.
const AGAIN: Duration = Duration::from_hours(1);

impl Batch<'_> {
    pub(crate) fn sweep(&mut self, limit: NonZeroU32) -> Result<Swept> {
        self.apply().map_err(sorted)?;
        let limit = SWEEP_STEP.min(limit.get() as usize);
        let after_now = Timestamp::from_millis(self.now.as_millis().saturating_add(1));
        let mut due = self
            .shared
            .trees
            .expiry
            .range(..&Expiry::from(after_now)[..]);
        let mut removed = 0;
        for entry in due.by_ref().take(limit) {
            let (key, value) = entry.map_err(sorted)?;
            removed += u64::from(self.bury(&key, &value)?);
        }
        let more = due.next().is_some();
        Ok(Swept { removed, more })
    }

    /// Removes the record that an entry of the expiry tree stands for, if it is dead, and else
    /// files it where it will be; says whether it removed one.
    fn bury(&mut self, key: &IVec, value: &IVec) -> Result<bool> {
        let found = Expiry::read(key, value);
        let was_record = found.map_or(Ok(false), |found| self.settle(&found))?;
        // Last, so that a crash leaves the entry or its successor.
        self.changes.remove(Place::Expiry, key);
        Ok(was_record)
    }

    fn settle(&mut self, found: &Expiry) -> Result<bool> {
        let (id, owner) = (found.id, &found.owner);
        let entry = self.entry(id)?;
        if matches!(entry, Some(Entry::Unreadable)) && self.shared.trees.is_later(id)? {
            // When it dies only the later version knows.
            let again = self.now + AGAIN;
            self.changes
                .insert(Place::Expiry, Expiry::key(again, id), owner);
            return Ok(false);
        }
        let is_owner = entry.as_ref().is_some_and(|entry| entry.is_of(owner));
        if !is_owner && !owner.is_empty() {
            self.disown(owner, id);
        }
        match entry {
            Some(Entry::Session {
                held, ref owner, ..
            }) if held.is_live(self.now) => {
                self.file(id, &held, batch::bytes(owner.as_ref()));
                Ok(false)
            }
            Some(_) => {
                self.remove(id)?;
                Ok(true)
            }
            None => {
                // A crash may have left it when it took the row.
                self.changes.remove(Place::Deadlines, id.as_bytes());
                Ok(false)
            }
        }
    }
}
