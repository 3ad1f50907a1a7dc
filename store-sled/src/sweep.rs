use std::num::NonZeroU32;

use cloakroom_store_api::{Result, Swept, Timestamp};
use sled::IVec;

use crate::{
    batch::{Batch, Entry},
    error::sorted,
    row::Expiry,
};

/// The most that one step of a sweep looks at.
const SWEEP_STEP: usize = 4096;

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

    /// Removes what an entry of the expiry tree stands for; says whether it was a record.
    fn bury(&mut self, key: &IVec, value: &IVec) -> Result<bool> {
        self.is_changed = true;
        self.changes.expiry.remove(key);
        let Some(Expiry { at, id, owner, .. }) = Expiry::read(key, value) else {
            return Ok(false);
        };
        match self.entry(id)? {
            Some(Entry::Session { held, .. }) if held.expires_at == at => {
                self.remove(id)?;
                Ok(true)
            }
            Some(Entry::Unreadable) => {
                self.remove(id)?;
                self.disown(&owner, id);
                Ok(true)
            }
            // Left behind by an unreadable row; the id may be in use again.
            Some(Entry::Session { owner: whose, .. }) if whose == owner => Ok(false),
            Some(Entry::Session { .. }) | None => {
                self.disown(&owner, id);
                Ok(false)
            }
        }
    }
}
