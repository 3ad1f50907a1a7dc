use std::{collections::HashMap, num::NonZeroU32};

use cloakroom_store_api::{
    Age, Error, Held, Owner, Result, Saved, SessionId, Stamp, Swept, Timestamp, Verdict,
};
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
    shared: &'a Shared,
    now: Timestamp,
    /// What this batch has read or changed, as it leaves it.
    seen: HashMap<SessionId, Option<Entry>>,
    changes: Changes,
    is_changed: bool,
    must_last: bool,
    /// The latest deadline that a call has seen passed.
    death_seen: Timestamp,
    size: usize,
}

/// What is stored under an id, as far as it is judged by.
#[derive(Clone, Debug)]
enum Entry {
    Session { held: Held, owner: IVec },
    Unreadable,
}

/// A live row, and when it was read.
pub(crate) type Sighting = (Row, Timestamp);

/// The most that one step of a sweep looks at.
const SWEEP_STEP: usize = 4096;

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

    /// The live rows of an owner. Unreadable ones are left out.
    pub(crate) fn list(&mut self, owner: &Owner) -> Result<Vec<(SessionId, Sighting)>> {
        let mut found = Vec::new();
        for id in self.ids_of(owner)? {
            match self.shared.trees.row(id) {
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
        for id in self.ids_of(owner)? {
            if Some(id) == except {
                continue;
            }
            match self.entry(id)? {
                Some(Entry::Session { held, owner: whose }) if whose == owner.as_bytes() => {
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
    fn apply(&mut self) -> sled::Result<()> {
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
        let before = self.entry(id)?;
        self.unindex(id, before.as_ref());
        let owner = IVec::from(draft.owner());
        self.changes.expiry.insert(
            Expiry::key(held.expires_at, id),
            Expiry::value(held.lifetime, &owner),
        );
        if !owner.is_empty() {
            self.changes.owners.insert(row::owner_key(&owner, id), &[]);
        }
        self.size += draft.len();
        self.changes.deadlines.remove(id.as_bytes());
        self.changes.records.insert(id.as_bytes(), draft.row(&held));
        self.seen.insert(id, Some(Entry::Session { held, owner }));
        self.is_changed = true;
        self.must_last = true;
        Ok(())
    }

    fn move_deadline(&mut self, id: SessionId, moved: Held) -> Result<()> {
        if let Some(Entry::Session { held, owner }) = self.entry(id)? {
            let Changes {
                expiry, deadlines, ..
            } = &mut self.changes;
            expiry.remove(Expiry::key(held.expires_at, id));
            expiry.insert(
                Expiry::key(moved.expires_at, id),
                Expiry::value(moved.lifetime, &owner),
            );
            deadlines.insert(id.as_bytes(), row::deadline(&moved));
            let entry = Entry::Session { held: moved, owner };
            self.seen.insert(id, Some(entry));
            self.is_changed = true;
        }
        Ok(())
    }

    fn remove(&mut self, id: SessionId) -> Result<()> {
        let Some(entry) = self.entry(id)? else {
            return Ok(());
        };
        self.unindex(id, Some(&entry));
        self.changes.records.remove(id.as_bytes());
        self.changes.deadlines.remove(id.as_bytes());
        self.seen.insert(id, None);
        self.is_changed = true;
        self.must_last = true;
        Ok(())
    }

    fn unindex(&mut self, id: SessionId, entry: Option<&Entry>) {
        // The index entries of an unreadable row cannot be known. Sweep takes them away in
        // their time.
        if let Some(Entry::Session { held, owner }) = entry {
            self.changes.expiry.remove(Expiry::key(held.expires_at, id));
            if !owner.is_empty() {
                self.changes.owners.remove(row::owner_key(owner, id));
            }
        }
    }

    fn disown(&mut self, owner: &[u8], id: SessionId) {
        self.changes.owners.remove(row::owner_key(owner, id));
        self.is_changed = true;
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

    fn note(&mut self, held: &Held) {
        if !held.is_live(self.now) {
            self.death_seen = self.death_seen.max(held.expires_at);
        }
    }

    fn entry(&mut self, id: SessionId) -> Result<Option<Entry>> {
        if let Some(entry) = self.seen.get(&id) {
            return Ok(entry.clone());
        }
        let entry = match self.shared.trees.row(id) {
            Ok(row) => row.map(|row| Entry::Session {
                held: row.held,
                owner: row.owner().into(),
            }),
            Err(Error::Corrupt { .. }) => Some(Entry::Unreadable),
            Err(error) => return Err(error),
        };
        self.seen.insert(id, entry.clone());
        Ok(entry)
    }
}
