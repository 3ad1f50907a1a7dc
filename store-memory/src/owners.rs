use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
};

use cloakroom_store_api::{Owner, SessionId};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::entry::Entry;

/// Which sessions are whose (O3, O4).
///
/// Two locks a shard. The gate orders ending all of an owner's sessions against whatever makes
/// a session that owner's, and is taken before any lock of a session. The index is taken last,
/// for a moment, and nothing of moka is called under it: moka calls back from inside its own
/// operations to say that an entry has expired.
#[derive(Debug)]
pub(crate) struct Owners {
    hasher: RandomState,
    shards: Vec<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    gate: RwLock<()>,
    index: Mutex<BTreeMap<(Owner, SessionId), u64>>,
}

const SHARDS: usize = 64;

impl Owners {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(Shard::default)
                .take(SHARDS)
                .collect(),
        }
    }

    /// Held by who may make a session this owner's.
    pub(crate) fn gate(&self, owner: Option<&Owner>) -> Option<RwLockReadGuard<'_, ()>> {
        owner.map(|owner| self.shard(owner).gate.read())
    }

    /// Held by who ends all of this owner's sessions.
    pub(crate) fn close(&self, owner: &str) -> RwLockWriteGuard<'_, ()> {
        self.shard(owner).gate.write()
    }

    /// The sessions that were this owner's at one instant.
    pub(crate) fn sessions(&self, owner: &str) -> Vec<SessionId> {
        let Ok(owner) = owner.parse::<Owner>() else {
            return Vec::new();
        };
        let index = self.shard(&owner).index.lock();
        let first = (owner.clone(), SessionId::from_bytes([0; 16]));
        let last = (owner, SessionId::from_bytes([0xff; 16]));
        index.range(first..=last).map(|((_, id), _)| *id).collect()
    }

    pub(crate) fn add(&self, id: SessionId, entry: &Entry) {
        if let Some(owner) = &entry.owner {
            let mut index = self.shard(owner).index.lock();
            index.insert((owner.clone(), id), entry.number);
        }
    }

    /// Forgets an entry, unless a newer one has taken its place.
    pub(crate) fn remove(&self, id: SessionId, entry: &Entry) {
        if let Some(owner) = &entry.owner {
            let mut index = self.shard(owner).index.lock();
            let key = (owner.clone(), id);
            if index.get(&key) == Some(&entry.number) {
                index.remove(&key);
            }
        }
    }

    /// How many sessions are indexed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.index.lock().len())
            .sum()
    }

    fn shard(&self, owner: &str) -> &Shard {
        let hash = usize::try_from(self.hasher.hash_one(owner) % SHARDS as u64);
        &self.shards[hash.unwrap_or_default()]
    }
}
