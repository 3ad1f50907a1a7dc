use std::{
    cmp::Ordering,
    collections::{BTreeSet, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
};

use cloakroom_store_api::Owner;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::slot::Slot;

/// Which sessions are whose (O3, O4).
///
/// Two locks a shard. The gate orders ending all of an owner's sessions against whatever makes
/// a session that owner's. The index is taken for a moment, and nothing is waited for under it.
#[derive(Debug)]
pub(crate) struct Owners {
    hasher: RandomState,
    shards: Vec<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    gate: RwLock<()>,
    index: Mutex<BTreeSet<Indexed>>,
}

/// A slot under its owner's hash. Two owners may share one: whose a session is says its slot.
///
/// Without a slot it comes before all with the same hash.
#[derive(Debug)]
struct Indexed {
    hash: u64,
    slot: Option<Arc<Slot>>,
}

const SHARDS: u64 = 64;

impl Owners {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    /// Held by who may make a session this owner's.
    pub(crate) fn gate(&self, owner: Option<&Owner>) -> Option<RwLockReadGuard<'_, ()>> {
        owner.map(|owner| self.shard(self.hash(owner)).gate.read())
    }

    /// Held by who ends all of this owner's sessions.
    pub(crate) fn close(&self, owner: &str) -> RwLockWriteGuard<'_, ()> {
        self.shard(self.hash(owner)).gate.write()
    }

    /// The sessions that were this owner's at one instant, and perhaps another's.
    pub(crate) fn sessions(&self, owner: &str) -> Vec<Arc<Slot>> {
        let hash = self.hash(owner);
        let index = self.shard(hash).index.lock();
        of(&index, hash).cloned().collect()
    }

    /// The owner in the copy that another session of theirs has, if one of them is at hand: a copy
    /// for each session would take more than the index does.
    pub(crate) fn shared(&self, owner: &Owner) -> Owner {
        let hash = self.hash(owner);
        let index = self.shard(hash).index.lock();
        let known = of(&index, hash).next().and_then(|slot| slot.try_owner());
        known
            .filter(|known| known == owner)
            .unwrap_or_else(|| owner.clone())
    }

    pub(crate) fn add(&self, owner: &str, slot: &Arc<Slot>) {
        let hash = self.hash(owner);
        self.shard(hash)
            .index
            .lock()
            .insert(Indexed::new(hash, slot));
    }

    pub(crate) fn remove(&self, owner: &str, slot: &Arc<Slot>) {
        let hash = self.hash(owner);
        self.shard(hash)
            .index
            .lock()
            .remove(&Indexed::new(hash, slot));
    }

    /// How many sessions are indexed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.index.lock().len())
            .sum()
    }

    fn hash(&self, owner: &str) -> u64 {
        // One hash is kept as the end of the range of the largest.
        self.hasher.hash_one(owner) >> 1
    }

    fn shard(&self, hash: u64) -> &Shard {
        &self.shards[usize::try_from(hash % SHARDS).unwrap_or_default()]
    }
}

#[expect(clippy::mutable_key_type, reason = "a slot is ordered by its address")]
fn of(index: &BTreeSet<Indexed>, hash: u64) -> impl Iterator<Item = &Arc<Slot>> {
    let [from, to] = [hash, hash + 1].map(|hash| Indexed { hash, slot: None });
    index
        .range(from..to)
        .filter_map(|indexed| indexed.slot.as_ref())
}

impl Indexed {
    fn new(hash: u64, slot: &Arc<Slot>) -> Self {
        Self {
            hash,
            slot: Some(Arc::clone(slot)),
        }
    }

    fn place(&self) -> (u64, Option<*const Slot>) {
        (self.hash, self.slot.as_ref().map(Arc::as_ptr))
    }
}

impl Ord for Indexed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Indexed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Indexed {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Indexed {}
