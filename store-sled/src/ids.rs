use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use cloakroom_store_api::SessionId;

/// A map by session id.
///
/// Ids are digests of secrets that nobody can choose: they are spread as evenly as their hashes
/// would be.
pub(crate) type IdMap<T> = HashMap<SessionId, T, BuildHasherDefault<IdHasher>>;

/// Takes the last bytes of an id for its hash.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_be_bytes(*last);
        }
    }

    /// The length of an id is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
