use cloakroom_store_api::{Error, Owner, Result, SessionId};

use crate::{
    batch::{Batch, Entry, Sighting},
    error::sorted,
    row,
};

impl Batch<'_> {
    /// The live rows of an owner. Unreadable ones are left out.
    pub(crate) fn list(&mut self, owner: &Owner) -> Result<Vec<(SessionId, Sighting)>> {
        let mut found = Vec::new();
        for id in self.ids_of(owner)? {
            match self.shared.row(id) {
                Ok(Some(row)) if row.owner() == owner.as_bytes() => {
                    self.note(&row.held);
                    if row.held.is_live(self.now) {
                        found.push((id, (row, self.now)));
                    }
                }
                Ok(_) | Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    pub(crate) fn expire_owner(&mut self, owner: &Owner, except: Option<SessionId>) -> Result<u64> {
        let mut ended = 0;
        let ids = self.ids_of(owner)?;
        self.changes.must_be_whole();
        for id in ids {
            if Some(id) == except {
                continue;
            }
            match self.entry(id)? {
                Some(Entry::Session {
                    held,
                    owner: Some(whose),
                    ..
                }) if whose == *owner => {
                    ended += u64::from(held.is_live(self.now));
                    self.remove(id)?;
                }
                Some(Entry::Unreadable) => {
                    ended += 1;
                    self.remove(id)?;
                    self.disown(owner.as_bytes(), id);
                }
                // Left behind by an unreadable row.
                Some(Entry::Session { .. }) | None => self.disown(owner.as_bytes(), id),
            }
        }
        Ok(ended)
    }

    /// The ids in an owner's index. Some may be another's by now, or of nobody.
    fn ids_of(&mut self, owner: &Owner) -> Result<Vec<SessionId>> {
        self.apply().map_err(sorted)?;
        self.shared
            .trees
            .owners
            .scan_prefix(row::owner_prefix(owner.as_bytes()))
            .keys()
            .filter_map(|key| key.map(|key| row::last_id(&key)).transpose())
            .collect::<sled::Result<_>>()
            .map_err(sorted)
    }
}
