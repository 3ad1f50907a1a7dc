use std::collections::HashMap;

use cloakroom_store_api::{Age, Error, Held, Result, Saved, SessionId, Stamp, Timestamp, Verdict};
use sled::IVec;

use crate::{
    error::sorted,
    row::{self, Draft, Expiry, Row},
    shared::Shared,
    trees::Changes,
};

/// The calls that the writer answers together: what they saw and what they change.
///
/// Each call is judged at its own time, after all before it. Nothing is stored before
/// [`finish`](Self::finish), save where a call needs the indexes to be up to date.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) now: Timestamp,
    /// What this batch has read or changed, as it leaves it.
    seen: HashMap<SessionId, Option<Entry>>,
    pub(crate) changes: Changes,
    pub(crate) is_changed: bool,
    must_last: bool,
    /// The latest deadline that a call has seen passed.
    death_seen: Timestamp,
    size: usize,
}

/// What is stored under an id, as far as it is judged by.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Session {
        held: Held,
        owner: IVec,
        /// Whether the deadlines tree has something of it.
        is_touched: bool,
    },
    Unreadable,
}

impl Entry {
    pub(crate) fn is_of(&self, whose: &[u8]) -> bool {
        matches!(self, Self::Session { owner, .. } if owner == whose)
    }
}

/// A live row, and when it was read.
pub(crate) type Sighting = (Row, Timestamp);

impl<'a> Batch<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            now: shared.clock.now(),
            seen: HashMap::new(),
            changes: Changes::default(),
            is_changed: false,
            must_last: false,
            death_seen: Timestamp::from_millis(i64::MIN),
            size: 0,
        }
    }

    /// Begins the next call.
    pub(crate) fn next(&mut self) {
        self.now = self.shared.clock.now();
    }

    /// How many bytes of records are to be stored.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn save(&mut self, draft: Draft) -> Result<Saved> {
        let id = draft.record.id;
        let found = self.held(id)?;
        let verdict = Held::save(found.as_ref(), &draft.record, self.now);
        self.carry_out(verdict, id, draft)
    }

    pub(crate) fn touch(&mut self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        let Some(held) = self.held(id)? else {
            return Ok(None);
        };
        let Some(moved) = held.touch(revision, self.now) else {
            return Ok(None);
        };
        if moved.expires_at > held.expires_at {
            self.move_deadline(id, moved)?;
        }
        Ok(Some(moved.stamp(self.now)))
    }

    pub(crate) fn rotate(&mut self, old: SessionId, draft: Draft, age: Age) -> Result<Saved> {
        let from = self.held(old)?;
        let to = self.held(draft.record.id)?;
        let verdict = Held::rotate(from.as_ref(), to.as_ref(), &draft.record, age, self.now);
        self.carry_out(verdict, old, draft)
    }

    pub(crate) fn expire(&mut self, id: SessionId) -> Result<bool> {
        let was_live = match self.entry(id)? {
            Some(Entry::Session { held, .. }) => held.is_live(self.now),
            // Its deadline cannot be read. Whoever ends it wants it gone, and it is.
            Some(Entry::Unreadable) => true,
            None => false,
        };
        self.remove(id)?;
        Ok(was_live)
    }

    /// The live row of one id.
    pub(crate) fn look(&mut self, id: SessionId) -> Result<Option<Sighting>> {
        let now = self.now;
        if !self.held(id)?.is_some_and(|held| held.is_live(now)) {
            return Ok(None);
        }
        self.apply().map_err(sorted)?;
        Ok(self.shared.trees.row(id)?.map(|row| (row, now)))
    }

    /// Stores all of it, and sees to it that nothing that was answered comes undone.
    pub(crate) fn finish(mut self) -> sled::Result<()> {
        let shared = self.shared;
        // A death that is not on disk, by a clock that is, could come undone: killed and
        // started again with its clock set back, the process would show the session alive.
        let must_last = self.must_last || self.death_seen > shared.kept();
        self.is_changed |= must_last;
        let now = shared.clock.now();
        self.apply_at(now)?;
        shared.check()?;
        if must_last {
            shared.keep(now)?;
        }
        Ok(())
    }

    /// Stores what there is, so that the indexes show it.
    pub(crate) fn apply(&mut self) -> sled::Result<()> {
        self.apply_at(self.now)
    }

    fn apply_at(&mut self, now: Timestamp) -> sled::Result<()> {
        if !std::mem::take(&mut self.is_changed) {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.changes);
        self.shared.noted(self.shared.trees.apply(&changes, now))
    }

    /// Does what was decided about the record that `id` has.
    fn carry_out(&mut self, verdict: Verdict, id: SessionId, draft: Draft) -> Result<Saved> {
        match verdict {
            Verdict::Store(held) => {
                if id != draft.record.id {
                    self.remove(id)?;
                }
                self.store(draft, held)?;
            }
            Verdict::End => self.remove(id)?,
            Verdict::Conflict | Verdict::Gone => {}
        }
        Ok(verdict.answer(self.now))
    }

    fn store(&mut self, draft: Draft, held: Held) -> Result<()> {
        let id = draft.record.id;
        let owner = IVec::from(draft.owner());
        let before = self.entry(id)?;
        if let Some(entry) = &before {
            self.unindex(id, entry, &owner);
        }
        if !owner.is_empty() && !before.is_some_and(|entry| entry.is_of(&owner)) {
            self.changes.owners.insert(row::owner_key(&owner, id), &[]);
        }
        self.changes.expiry.insert(
            Expiry::key(held.expires_at, id),
            Expiry::value(held.lifetime, &owner),
        );
        self.size += draft.len();
        self.changes.records.insert(id.as_bytes(), draft.row(&held));
        let entry = Entry::Session {
            held,
            owner,
            is_touched: false,
        };
        self.seen.insert(id, Some(entry));
        self.is_changed = true;
        self.must_last = true;
        Ok(())
    }

    fn move_deadline(&mut self, id: SessionId, moved: Held) -> Result<()> {
        if let Some(Entry::Session { held, owner, .. }) = self.entry(id)? {
            let Changes {
                expiry, deadlines, ..
            } = &mut self.changes;
            expiry.remove(Expiry::key(held.expires_at, id));
            expiry.insert(
                Expiry::key(moved.expires_at, id),
                Expiry::value(moved.lifetime, &owner),
            );
            deadlines.insert(id.as_bytes(), row::deadline(&moved));
            let entry = Entry::Session {
                held: moved,
                owner,
                is_touched: true,
            };
            self.seen.insert(id, Some(entry));
            self.is_changed = true;
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Result<()> {
        let Some(entry) = self.entry(id)? else {
            return Ok(());
        };
        self.unindex(id, &entry, &[]);
        self.changes.records.remove(id.as_bytes());
        self.seen.insert(id, None);
        self.is_changed = true;
        self.must_last = true;
        Ok(())
    }

    /// Takes away what stands beside a row, but for the entry of the owner that it keeps.
    ///
    /// What need not change is left alone: sled looks it up twice to find that out.
    fn unindex(&mut self, id: SessionId, entry: &Entry, keeps: &[u8]) {
        let Changes {
            records: _,
            deadlines,
            expiry,
            owners,
        } = &mut self.changes;
        let Entry::Session {
            held,
            owner,
            is_touched,
        } = entry
        else {
            // Its index entries cannot be known. Sweep takes them away in their time.
            deadlines.remove(id.as_bytes());
            return;
        };
        expiry.remove(Expiry::key(held.expires_at, id));
        if *is_touched {
            deadlines.remove(id.as_bytes());
        }
        if !owner.is_empty() && owner != keeps {
            owners.remove(row::owner_key(owner, id));
        }
    }

    /// What the id has, dead or alive.
    fn held(&mut self, id: SessionId) -> Result<Option<Held>> {
        match self.entry(id)? {
            Some(Entry::Session { held, .. }) => {
                self.note(&held);
                Ok(Some(held))
            }
            Some(Entry::Unreadable) => Err(row::corrupt(id, "its row is unreadable".into())),
            None => Ok(None),
        }
    }

    pub(crate) fn note(&mut self, held: &Held) {
        if !held.is_live(self.now) {
            self.death_seen = self.death_seen.max(held.expires_at);
        }
    }

    pub(crate) fn entry(&mut self, id: SessionId) -> Result<Option<Entry>> {
        if let Some(entry) = self.seen.get(&id) {
            return Ok(entry.clone());
        }
        let entry = match self.shared.trees.row(id) {
            Ok(row) => row.map(|row| Entry::Session {
                held: row.held,
                owner: row.owner().into(),
                is_touched: row.is_touched,
            }),
            Err(Error::Corrupt { .. }) => Some(Entry::Unreadable),
            Err(error) => return Err(error),
        };
        self.seen.insert(id, entry.clone());
        Ok(entry)
    }
}
