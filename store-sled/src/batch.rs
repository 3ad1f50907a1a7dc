use cloakroom_store_api::{
    Age, Error, Held, Owner, Result, Saved, SessionId, Stamp, Timestamp, Verdict,
};

use crate::{
    cache::{Known, Outcomes},
    changes::{Changes, Place},
    error::sorted,
    ids::IdMap,
    row::{self, Draft, Expiry, Row},
    shared::Shared,
    touches::Touches,
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
    seen: IdMap<Option<Entry>>,
    pub(crate) changes: Changes,
    /// What the changes make of the sessions that they are about.
    outcomes: Outcomes,
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
        owner: Option<Owner>,
        /// Whether the deadlines tree has something of it.
        is_touched: bool,
    },
    Unreadable,
}

impl Entry {
    pub(crate) fn is_of(&self, whose: &[u8]) -> bool {
        matches!(self, Self::Session { owner, .. } if bytes(owner.as_ref()) == whose)
    }
}

/// An owner as the trees have it.
pub(crate) fn bytes(owner: Option<&Owner>) -> &[u8] {
    owner.map_or(&[], |owner| owner.as_bytes())
}

/// A live row, and when it was read.
pub(crate) type Sighting = (Row, Timestamp);

impl<'a> Batch<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            now: shared.clock.now(),
            seen: IdMap::default(),
            changes: Changes::default(),
            outcomes: Outcomes::default(),
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
            if self.outcomes.contains_key(&id) {
                // A touch is of what others can see.
                self.apply().map_err(sorted)?;
            }
            self.shared.cache.move_deadline(id, &moved);
            if let Some(Some(Entry::Session { held, .. })) = self.seen.get_mut(&id) {
                *held = moved;
            }
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
        Ok(self.shared.row(id)?.map(|row| (row, now)))
    }

    /// Stores all of it, and sees to it that nothing that was answered comes undone.
    pub(crate) fn finish(mut self, touches: &mut Touches) -> sled::Result<()> {
        let shared = self.shared;
        let now = shared.clock.now();
        self.apply()?;
        shared.check()?;
        // A death that is not on disk, by a clock that is, could come undone: killed and
        // started again with its clock set back, the process would show the session alive.
        let must_last =
            touches.write_some(shared)? || self.must_last || self.death_seen > shared.kept();
        if must_last {
            shared.keep(now)?;
        }
        Ok(())
    }

    /// Stores what there is, so that the indexes show it.
    pub(crate) fn apply(&mut self) -> sled::Result<()> {
        let changes = std::mem::take(&mut self.changes);
        let outcomes = std::mem::take(&mut self.outcomes);
        self.shared.write(changes, outcomes)
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
        let owner = draft.record.owner.clone();
        let whose = bytes(owner.as_ref());
        let before = self.entry(id)?;
        let is_owned = before.as_ref().is_some_and(|entry| entry.is_of(whose));
        let is_filed = is_owned
            && before.as_ref().is_some_and(|entry| match entry {
                Entry::Session { held: before, .. } => before.expires_at <= held.expires_at,
                Entry::Unreadable => false,
            });
        if !is_filed {
            self.file(id, &held, whose);
        }
        if !whose.is_empty() && !is_owned {
            let key = row::owner_key(whose, id);
            self.changes.insert(Place::Owners, key, &[]);
        }
        self.size += draft.len();
        let (row, session) = draft.finish(held);
        self.changes.insert(Place::Records, id.as_bytes(), row);
        self.outcomes.insert(id, Some(session));
        if let Some(entry) = before {
            self.tidy(id, &entry, whose);
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
    pub(crate) fn file(&mut self, id: SessionId, held: &Held, owner: &[u8]) {
        let key = Expiry::key(held.expires_at, id);
        self.changes.insert(Place::Expiry, key, owner);
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
        self.outcomes.insert(id, None);
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
            } => (*is_touched, bytes(owner.as_ref())),
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
        if let Some(entry) = self.seen.get_mut(&id) {
            if let Some(Entry::Session { held, .. }) = entry {
                // A caller may have moved the deadline since.
                self.shared.cache.overlay(id, held);
            }
            return Ok(entry.clone());
        }
        let entry = self.shared.entry(id)?;
        self.seen.insert(id, entry.clone());
        Ok(entry)
    }
}

impl Shared {
    /// What is stored under an id. Only the writer is told so: there is no news meanwhile.
    fn entry(&self, id: SessionId) -> Result<Option<Entry>> {
        let known = self.cache.find(id, |session| Entry::Session {
            held: session.held,
            owner: session.owner.clone(),
            is_touched: session.is_touched,
        });
        match known {
            Known::Stored(entry) => return Ok(Some(entry)),
            Known::Ended => return Ok(None),
            Known::Unknown(_) => {}
        }
        let row = match self.row(id) {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(None),
            Err(Error::Corrupt { .. }) => return Ok(Some(Entry::Unreadable)),
            Err(error) => return Err(error),
        };
        let owner = match row.owner() {
            [] => None,
            owner => match str::from_utf8(owner)
                .ok()
                .and_then(|owner| owner.parse().ok())
            {
                Some(owner) => Some(owner),
                None => return Ok(Some(Entry::Unreadable)),
            },
        };
        Ok(Some(Entry::Session {
            held: row.held,
            owner,
            is_touched: row.is_touched,
        }))
    }
}
