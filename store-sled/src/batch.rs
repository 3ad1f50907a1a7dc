use std::collections::HashMap;

use cloakroom_store_api::{Age, Error, Held, Result, Saved, SessionId, Stamp, Timestamp, Verdict};
use sled::IVec;

use crate::{
    changes::{Changes, Place},
    error::sorted,
    row::{self, Draft, Expiry, Row},
    shared::Shared,
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
        let now = shared.clock.now();
        self.apply()?;
        shared.check()?;
        if must_last {
            shared.keep(now)?;
        }
        Ok(())
    }

    /// Stores what there is, so that the indexes show it.
    pub(crate) fn apply(&mut self) -> sled::Result<()> {
        let changes = std::mem::take(&mut self.changes);
        self.shared.noted(changes.apply(&self.shared.trees))
    }

    /// Does what was decided about the record that `id` has.
    fn carry_out(&mut self, verdict: Verdict, id: SessionId, draft: Draft) -> Result<Saved> {
        match verdict {
            Verdict::Store(held) => {
                if id != draft.record.id {
                    // Never both, never neither.
                    self.changes.must_be_whole();
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
        let is_owned = before.as_ref().is_some_and(|entry| entry.is_of(&owner));
        let is_filed = is_owned
            && before.as_ref().is_some_and(|entry| match entry {
                Entry::Session { held: before, .. } => before.expires_at <= held.expires_at,
                Entry::Unreadable => false,
            });
        if !is_filed {
            self.file(id, &held, &owner);
        }
        if !owner.is_empty() && !is_owned {
            let key = row::owner_key(&owner, id);
            self.changes.insert(Place::Owners, key, &[]);
        }
        self.size += draft.len();
        self.changes
            .insert(Place::Records, id.as_bytes(), draft.row(&held));
        if let Some(entry) = before {
            self.tidy(id, &entry, &owner);
        }
        let entry = Entry::Session {
            held,
            owner,
            is_touched: false,
        };
        self.seen.insert(id, Some(entry));
        self.must_last = true;
        Ok(())
    }

    /// Has sweep see to a session at its deadline.
    pub(crate) fn file(&mut self, id: SessionId, held: &Held, owner: &IVec) {
        let key = Expiry::key(held.expires_at, id);
        self.changes.insert(Place::Expiry, key, owner);
    }

    fn move_deadline(&mut self, id: SessionId, moved: Held) -> Result<()> {
        if let Some(Entry::Session { owner, .. }) = self.entry(id)? {
            let (key, value) = (id.as_bytes(), row::deadline(&moved));
            self.changes.insert(Place::Deadlines, key, value);
            let entry = Entry::Session {
                held: moved,
                owner,
                is_touched: true,
            };
            self.seen.insert(id, Some(entry));
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Result<()> {
        let Some(entry) = self.entry(id)? else {
            return Ok(());
        };
        self.changes.remove(Place::Records, id.as_bytes());
        self.tidy(id, &entry, &[]);
        if let Entry::Session { held, .. } = entry {
            // Where it stands in the expiry tree is certain only to who comes from there.
            let first = held.lifetime.expires_at(held.created_at, held.created_at);
            self.changes.remove(Place::Expiry, Expiry::key(first, id));
            if held.expires_at != first {
                let last = Expiry::key(held.expires_at, id);
                self.changes.remove(Place::Expiry, last);
            }
        }
        self.seen.insert(id, None);
        self.must_last = true;
        Ok(())
    }

    /// Takes away what stands beside a row that is gone, but for the entry of the owner that it
    /// keeps. What an unreadable row had beside it cannot be known; sweep finds it in its time.
    fn tidy(&mut self, id: SessionId, entry: &Entry, keeps: &[u8]) {
        let (is_touched, owner) = match entry {
            Entry::Session {
                is_touched, owner, ..
            } => (*is_touched, &owner[..]),
            Entry::Unreadable => (true, &[][..]),
        };
        if is_touched {
            self.changes.remove(Place::Deadlines, id.as_bytes());
        }
        if !owner.is_empty() && owner != keeps {
            self.disown(owner, id);
        }
    }

    pub(crate) fn disown(&mut self, owner: &[u8], id: SessionId) {
        let key = row::owner_key(owner, id);
        self.changes.remove(Place::Owners, key);
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
