use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, Result, SessionId, StoreClock, Timestamp};
use moka::{Expiry, notification::RemovalCause, sync::Cache};
use parking_lot::{Mutex, MutexGuard};

use crate::{entry::Entry, owners::Owners};

/// The sessions, and the locks that make a change of one of them a single step.
///
/// Who changes a session holds the lock of its stripe; who loads one holds nothing. Locks are
/// taken in this order: an owner's gate, stripes from low to high, moka's own, an owner's index.
pub(crate) struct Sessions {
    pub(crate) owners: Arc<Owners>,
    cache: Cache<SessionId, Entry, BuildHasherDefault<IdHasher>>,
    stripes: Vec<Mutex<()>>,
    clock: Arc<StoreClock>,
    stored: Arc<AtomicUsize>,
    max_sessions: usize,
}

const STRIPES: usize = 256;

/// How long after its death moka reclaims an entry.
///
/// moka has a clock of its own. This keeps it from expiring an entry in the instants between
/// our judging it live and our writing its successor.
const RECLAIM_AFTER: Duration = Duration::from_secs(10);

impl Sessions {
    pub(crate) fn new(max_sessions: Option<usize>, clock: StoreClock) -> Self {
        let (clock, owners) = (Arc::new(clock), Arc::new(Owners::new()));
        let stored = Arc::new(AtomicUsize::new(0));
        let listener = {
            let (owners, stored) = (Arc::clone(&owners), Arc::clone(&stored));
            move |id: Arc<SessionId>, entry: Entry, cause| {
                owners.remove(*id, &entry);
                if cause != RemovalCause::Replaced {
                    stored.fetch_sub(1, Relaxed);
                }
            }
        };
        let cache = Cache::builder()
            .expire_after(ByDeadline(Arc::clone(&clock)))
            .eviction_listener(listener)
            .build_with_hasher(BuildHasherDefault::default());
        Self {
            owners,
            cache,
            stripes: std::iter::repeat_with(Mutex::default)
                .take(STRIPES)
                .collect(),
            clock,
            stored,
            max_sessions: max_sessions.unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn lock(&self, id: SessionId) -> MutexGuard<'_, ()> {
        self.stripes[stripe(id)].lock()
    }

    pub(crate) fn lock_both(
        &self,
        one: SessionId,
        other: SessionId,
    ) -> (MutexGuard<'_, ()>, Option<MutexGuard<'_, ()>>) {
        let (one, other) = (stripe(one), stripe(other));
        let first = self.stripes[one.min(other)].lock();
        let second = (one != other).then(|| self.stripes[one.max(other)].lock());
        (first, second)
    }

    /// What is stored, dead or alive.
    pub(crate) fn get(&self, id: SessionId) -> Option<Entry> {
        self.cache.get(&id)
    }

    /// Stores an entry in place of what was found, if there is room for a new one.
    pub(crate) fn put(&self, id: SessionId, found: Option<&Entry>, entry: Entry) -> Result<()> {
        if found.is_none() {
            self.make_room()?;
        }
        self.write(id, found, entry);
        Ok(())
    }

    /// Stores an entry whose predecessor has just been removed, so that there is room.
    pub(crate) fn admit(&self, id: SessionId, found: Option<&Entry>, entry: Entry) {
        if found.is_none() {
            self.stored.fetch_add(1, Relaxed);
        }
        self.write(id, found, entry);
    }

    pub(crate) fn remove(&self, id: SessionId) {
        self.cache.invalidate(&id);
    }

    /// Removes an entry, dead or alive; says whether it was alive.
    pub(crate) fn end(&self, id: SessionId) -> bool {
        let now = self.now();
        let ended = self.cache.remove(&id);
        ended.is_some_and(|entry| entry.held.is_live(now))
    }

    pub(crate) fn reclaim(&self) {
        self.cache.run_pending_tasks();
    }

    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Entry)) {
        self.cache.iter().for_each(|(_, entry)| visit(&entry));
    }

    fn write(&self, id: SessionId, found: Option<&Entry>, entry: Entry) {
        // Indexed first: whoever finds the session finds it in its owner's list too, and the
        // listener's word on the entry replaced here does not concern the new number.
        self.owners.add(id, &entry);
        let owner = entry.owner.clone();
        self.cache.insert(id, entry);
        if let Some(found) = found.filter(|found| found.owner != owner) {
            self.owners.remove(id, found);
        }
    }

    /// Counts one more session in, or refuses.
    fn make_room(&self) -> Result<()> {
        let count = |stored: usize| (stored < self.max_sessions).then_some(stored + 1);
        if self.stored.fetch_update(Relaxed, Relaxed, count).is_ok() {
            return Ok(());
        }
        self.reclaim();
        let counted = self.stored.fetch_update(Relaxed, Relaxed, count);
        counted.map(drop).map_err(|stored| {
            Error::unavailable(format!("the memory store is full with {stored} sessions"))
        })
    }
}

fn stripe(id: SessionId) -> usize {
    usize::from(id.as_bytes()[0])
}

/// Takes an id for its own hash, since it is one: who wants two that collide has to break SHA-256
/// for it, and then has no more than a slow cache.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        self.0 ^= u64::from_le_bytes(bytes);
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Lets moka reclaim the dead. It judges nobody.
struct ByDeadline(Arc<StoreClock>);

impl ByDeadline {
    fn reclaim_after(&self, entry: &Entry) -> Duration {
        entry.held.expires_at.since(self.0.now()) + RECLAIM_AFTER
    }
}

impl Expiry<SessionId, Entry> for ByDeadline {
    fn expire_after_create(&self, _: &SessionId, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(self.reclaim_after(entry))
    }

    fn expire_after_update(
        &self,
        _: &SessionId,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.reclaim_after(entry))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher};

    use cloakroom_store_api::{Held, Lifetime, ManualClock, Record, SessionToken, Verdict};

    use super::*;

    fn new_id() -> SessionId {
        SessionToken::generate().unwrap().id()
    }

    #[test]
    fn moka_reclaims_the_dead_though_nobody_sweeps() {
        let clock = StoreClock::new(Arc::new(ManualClock::new()));
        let record = Record::new(new_id(), Lifetime::BROWSER);
        let Verdict::Store(held) = Held::save(None, &record, clock.now()) else {
            panic!("a new session is stored");
        };
        let entry = Entry::new(&record, held);
        let expiry = ByDeadline(Arc::new(clock));
        let expected = Some(record.lifetime.idle() + RECLAIM_AFTER);
        let now = Instant::now();
        let created = expiry.expire_after_create(&record.id, &entry, now);
        let updated = expiry.expire_after_update(&record.id, &entry, now, None);
        assert_eq!((created, updated), (expected, expected));
    }

    #[test]
    fn ids_have_different_hashes() {
        let hasher = BuildHasherDefault::<IdHasher>::default();
        let hashes: HashSet<_> = (0..1_000).map(|_| hasher.hash_one(new_id())).collect();
        assert_eq!(hashes.len(), 1_000);
    }
}
