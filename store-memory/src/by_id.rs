use std::{
    cell::Cell,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::Arc,
};

use cloakroom_store_api::SessionId;
use moka::{Equivalent, sync::Cache};

use crate::slot::Slot;

/// The slots by id, in moka.
///
/// A slot is moka's key, and there is no value. `get` would clone the value, and note each reading
/// in a queue for moka's eviction policy, which whoever reads then has to work off. A cache without
/// a bound evicts nothing, and `contains_key` notes nothing.
pub(crate) struct ById(Cache<Key, (), BuildHasherDefault<IdHasher>>);

impl ById {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().build_with_hasher(BuildHasherDefault::default()))
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<Arc<Slot>> {
        let wanted = Wanted {
            id,
            found: Cell::new(None),
        };
        // moka compares before it looks whether the key was removed.
        let is_there = self.0.contains_key(&wanted);
        wanted.found.into_inner().filter(|_| is_there)
    }

    /// Adds a slot whose id has none.
    pub(crate) fn insert(&self, slot: Arc<Slot>) {
        self.0.insert(Key(slot), ());
    }

    pub(crate) fn remove(&self, id: SessionId) {
        let found = Cell::new(None);
        self.0.invalidate(&Wanted { id, found });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Arc<Slot>> {
        self.0.iter().map(|(key, ())| Arc::clone(&key.0))
    }
}

/// Equal and hashed by the slot's id.
struct Key(Arc<Slot>);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

/// An id, and the slot that it was last found to be equal to.
struct Wanted {
    id: SessionId,
    found: Cell<Option<Arc<Slot>>>,
}

impl Hash for Wanted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Equivalent<Key> for Wanted {
    fn equivalent(&self, key: &Key) -> bool {
        let is_equal = key.0.id == self.id;
        if is_equal {
            self.found.set(Some(Arc::clone(&key.0)));
        }
        is_equal
    }
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

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher};

    use cloakroom_store_api::SessionToken;

    use super::*;

    #[test]
    fn ids_have_different_hashes() {
        let hasher = BuildHasherDefault::<IdHasher>::default();
        let new_id = || SessionToken::generate().unwrap().id();
        let hashes: HashSet<_> = (0..1_000).map(|_| hasher.hash_one(new_id())).collect();
        assert_eq!(hashes.len(), 1_000);
    }
}
