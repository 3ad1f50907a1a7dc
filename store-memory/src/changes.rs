use std::mem;

use cloakroom_store_api::{Age, Held, Record, Result, Saved, SessionId, Stamp, Timestamp, Verdict};

use crate::{
    sessions::{Full, Sessions},
    slot::{Kept, Locked, Slot},
};

impl Sessions {
    pub(crate) fn save(&self, record: &Record) -> Result<Saved> {
        if let Some(saved) = self.save_in_place(record) {
            return Ok(saved);
        }
        let saved = self.with_room(|| self.save_anyhow(record))?;
        self.tidy(self.now());
        Ok(saved)
    }

    /// Saves what has a slot, does not end and stays its owner's: the slot's lock is all that this
    /// needs. `None` if it is something else.
    fn save_in_place(&self, record: &Record) -> Option<Saved> {
        let slot = self.find(record.id)?;
        let mut locked = slot.lock();
        let now = self.now();
        let kept = locked.kept.as_mut()?;
        if kept.owner != record.owner {
            return None;
        }
        let verdict = Held::save(Some(&kept.held), record, now);
        match verdict {
            Verdict::Store(held) => {
                let owner = kept.owner.take();
                let replaced = mem::replace(kept, Kept::new(record, held, owner));
                self.calendar.follow(&slot, held.expires_at, now);
                drop(locked);
                drop(replaced);
                self.tidy(now);
            }
            Verdict::Conflict | Verdict::Gone => {}
            Verdict::End => return None,
        }
        Some(verdict.answer(now))
    }

    fn save_anyhow(&self, record: &Record) -> Result<Saved, Full> {
        let _gate = self.owners.gate(record.owner.as_ref());
        let _stripe = self.lock(record.id);
        let slot = self.find(record.id);
        let locked = slot.as_ref().map(Slot::lock);
        let now = self.now();
        let verdict = Held::save(locked.as_ref().and_then(Locked::held), record, now);
        match (verdict, locked) {
            (Verdict::Store(held), Some(locked)) => self.replace(locked, record, held, now),
            (Verdict::Store(held), None) => {
                self.make_room()?;
                self.add(record, held, now);
            }
            (Verdict::End, Some(locked)) => self.end(locked),
            (Verdict::End | Verdict::Conflict | Verdict::Gone, _) => {}
        }
        Ok(verdict.answer(now))
    }

    /// Replaces what is kept, and whose it is. The owner's gate is held.
    fn replace(&self, mut locked: Locked<'_>, record: &Record, held: Held, now: Timestamp) {
        let slot = locked.slot;
        if let Some(owner) = &record.owner {
            self.owners.add(owner, slot);
        }
        let kept = Kept::new(record, held, record.owner.clone());
        let replaced = locked.kept.replace(kept);
        self.calendar.follow(slot, held.expires_at, now);
        if let Some(owner) = replaced.and_then(|replaced| replaced.owner)
            && Some(&owner) != record.owner.as_ref()
        {
            self.owners.remove(&owner, slot);
        }
    }

    pub(crate) fn touch(&self, id: SessionId, revision: u64) -> Option<Stamp> {
        let slot = self.find(id)?;
        let mut locked = slot.lock();
        let now = self.now();
        let kept = locked.kept.as_mut()?;
        kept.held = kept.held.touch(revision, now)?;
        let stamp = kept.held.stamp(now);
        drop(locked);
        self.tidy(now);
        Some(stamp)
    }

    pub(crate) fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Saved {
        let saved = self.rename(old, record, age);
        self.tidy(self.now());
        saved
    }

    fn rename(&self, old: SessionId, record: &Record, age: Age) -> Saved {
        let _gate = self.owners.gate(record.owner.as_ref());
        let _stripes = self.lock_both(old, record.id);
        let slots = [old, record.id].map(|id| self.find(id));
        let from = slots[0].as_ref().map(Slot::lock);
        // An id in place of itself: the slot is locked already.
        let to = slots[1].as_ref().filter(|slot| slot.id != old);
        let to = to.map(Slot::lock);
        let now = self.now();
        let held = from.as_ref().and_then(Locked::held);
        let taken = match &to {
            Some(to) => to.held(),
            None => held.filter(|_| record.id == old),
        };
        let verdict = Held::rotate(held, taken, record, age, now);
        match (verdict, from) {
            (Verdict::Store(held), Some(from)) => {
                // Out before in: at no instant is the session live under both ids. Its room stays
                // its own.
                self.take_out(from);
                if let Some(leftover) = to {
                    self.end(leftover);
                }
                self.add(record, held, now);
            }
            (Verdict::End, Some(from)) => self.end(from),
            _ => {}
        }
        verdict.answer(now)
    }

    pub(crate) fn expire(&self, id: SessionId) -> bool {
        let _stripe = self.lock(id);
        let slot = self.find(id);
        slot.is_some_and(|slot| self.end_now(slot.lock()))
    }

    pub(crate) fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> u64 {
        // Behind the gate no session becomes this owner's, by save or by rotation (O2).
        let _gate = self.owners.close(owner);
        let mut ended = 0;
        for slot in self.owners.sessions(owner) {
            let _stripe = self.lock(slot.id);
            let locked = slot.lock();
            if Some(slot.id) != except && locked.is_of(owner) {
                ended += u64::from(self.end_now(locked));
            }
        }
        ended
    }

    /// Ends a session; says whether it was live. Its stripe is held.
    fn end_now(&self, locked: Locked<'_>) -> bool {
        let was_live = locked.live(self.now()).is_some();
        self.end(locked);
        was_live
    }
}
