use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use cloakroom_store_api::{Error, Held, Record, SessionId, StoreClock, Swept, Timestamp};
use parking_lot::{Mutex, MutexGuard};

use crate::{
    by_id::ById,
    calendar::Calendar,
    owners::Owners,
    slot::{Kept, Locked, Slot},
};

/// The sessions, and the locks that make a change of one of them a single step.
///
/// Locks are taken in this order: an owner's gate, stripes from low to high, slots, and last the
/// calendar or an owner's index.
///
/// - A slot's lock guards what is kept of its session. Whoever judges a session reads the clock
///   under it, and writes under it what follows from that, so that all see a session die at one
///   moment: what one of them has shown dead stays dead.
/// - A stripe guards whether an id has a slot. Who adds or takes one holds it. So a slot that is
///   found under its stripe is not empty, and one that is locked and not empty is in the map.
///   Who holds both of a rotation's stripes may lock both slots.
/// - An owner's gate is held by who makes a session that owner's. The index says so as long as the
///   session can be found; it may say so a moment before and after.
///
/// moka has locks of its own, and calls nothing of ours under them but the comparison of ids.
pub(crate) struct Sessions {
    pub(crate) owners: Owners,
    pub(crate) by_id: ById,
    pub(crate) calendar: Calendar,
    stripes: Vec<Stripe>,
    clock: StoreClock,
    stored: AtomicUsize,
    max_sessions: usize,
}

/// On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(Mutex<()>);

const STRIPES: usize = 256;

/// How many slots whoever has written looks at: more than one, so that they become fewer.
const LOOKED_AT: usize = 8;

/// The store has no room for one more session.
#[derive(Debug)]
pub(crate) struct Full;

impl Sessions {
    pub(crate) fn new(max_sessions: Option<usize>, clock: StoreClock) -> Self {
        Self {
            owners: Owners::new(),
            by_id: ById::new(),
            calendar: Calendar::new(),
            stripes: std::iter::repeat_with(Stripe::default)
                .take(STRIPES)
                .collect(),
            clock,
            stored: AtomicUsize::new(0),
            max_sessions: max_sessions.unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Locks this id's stripe.
    pub(crate) fn lock(&self, id: SessionId) -> MutexGuard<'_, ()> {
        self.stripes[stripe(id)].0.lock()
    }

    /// Locks both ids' stripes.
    pub(crate) fn lock_both(
        &self,
        one: SessionId,
        other: SessionId,
    ) -> (MutexGuard<'_, ()>, Option<MutexGuard<'_, ()>>) {
        let (one, other) = (stripe(one), stripe(other));
        let first = self.stripes[one.min(other)].0.lock();
        let second = (one != other).then(|| self.stripes[one.max(other)].0.lock());
        (first, second)
    }

    /// Counts one more session in, or refuses.
    pub(crate) fn make_room(&self) -> Result<(), Full> {
        let count = |stored: usize| (stored < self.max_sessions).then_some(stored + 1);
        let counted = self.stored.fetch_update(Relaxed, Relaxed, count);
        counted.map(drop).map_err(|_| Full)
    }

    /// Does what needs room, a second time if the dead had it.
    pub(crate) fn with_room<T>(&self, act: impl Fn() -> Result<T, Full>) -> Result<T, Error> {
        let done = act().or_else(|Full| {
            self.reclaim(usize::MAX);
            act()
        });
        done.map_err(|Full| {
            let stored = self.max_sessions;
            Error::unavailable(format!("the memory store is full with {stored} sessions"))
        })
    }

    /// Adds a session that has been counted in. Its stripe is held, and its id has no slot.
    pub(crate) fn add(&self, record: &Record, held: Held, now: Timestamp) {
        let owner = record.owner.as_ref();
        let owner = owner.map(|owner| self.owners.shared(owner));
        let slot = Slot::new(record.id, Kept::new(record, held, owner));
        if let Some(owner) = &record.owner {
            self.owners.add(owner, &slot);
        }
        self.calendar.file(&slot, held.expires_at, now);
        self.by_id.insert(slot);
    }

    /// Ends what is kept in a slot, and gives its room back. Its stripe is held.
    pub(crate) fn end(&self, locked: Locked<'_>) {
        if self.take_out(locked) {
            self.stored.fetch_sub(1, Relaxed);
        }
    }

    /// Ends what is kept in a slot, whose room goes to the session that takes its place. Says
    /// whether there was anything. Its stripe is held.
    pub(crate) fn take_out(&self, mut locked: Locked<'_>) -> bool {
        let ended = locked.kept.take();
        let Locked { slot, kept } = locked;
        drop(kept);
        let Some(ended) = ended else {
            return false;
        };
        self.by_id.remove(slot.id);
        self.calendar.remove(slot);
        if let Some(owner) = &ended.owner {
            self.owners.remove(owner, slot);
        }
        true
    }

    /// Looks at some of what may have died, by whoever has written and holds no lock.
    pub(crate) fn tidy(&self, now: Timestamp) {
        if self.calendar.is_due(now) {
            self.reclaim(LOOKED_AT);
        }
    }

    /// Removes what is dead, by the calendar, among so many slots at most. No lock is held.
    pub(crate) fn reclaim(&self, most: usize) -> Swept {
        let mut removed = 0;
        for slot in self.calendar.due(self.now(), most) {
            let _stripe = self.lock(slot.id);
            let locked = slot.lock();
            let now = self.now();
            match locked.held() {
                Some(held) if held.is_live(now) => self.calendar.file(&slot, held.expires_at, now),
                Some(_) => {
                    self.end(locked);
                    removed += 1;
                }
                None => {}
            }
        }
        Swept {
            removed,
            more: self.calendar.is_due(self.now()),
        }
    }

    pub(crate) fn sweep(&self, limit: NonZeroU32) -> Swept {
        self.reclaim(usize::try_from(limit.get()).unwrap_or(usize::MAX))
    }

    /// What is stored under this id, dead or alive.
    pub(crate) fn find(&self, id: SessionId) -> Option<Arc<Slot>> {
        self.by_id.find(id)
    }

    #[cfg(test)]
    pub(crate) fn stored(&self) -> usize {
        self.stored.load(Relaxed)
    }
}

fn stripe(id: SessionId) -> usize {
    usize::from(id.as_bytes()[0])
}
