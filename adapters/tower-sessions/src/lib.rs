#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod calls;
mod failure;
mod peer;

use std::collections::HashMap;

use cloakroom_store_api::{Owner, SessionStore};
use serde_json::Value;

/// What tower-sessions keeps of a session: values by key.
pub type Entries = HashMap<String, Value>;

/// A store of Cloakroom as a store of tower-sessions.
///
/// It implements `SessionStore` and `ExpiredDeletion` of tower-sessions 0.15, and with the feature
/// `v0_14` those of 0.14. What the four calls do is in the [crate's documentation](crate).
///
/// # Example
///
/// ```
/// use cloakroom_store_memory::MemoryStore;
/// use cloakroom_tower_sessions::TowerSessionsStore;
/// use tower_sessions::SessionManagerLayer;
///
/// let layer = SessionManagerLayer::new(TowerSessionsStore::new(MemoryStore::new()));
/// # drop(layer);
/// ```
#[derive(Clone, Debug)]
pub struct TowerSessionsStore<S> {
    store: S,
    owner: fn(&Entries) -> Option<Owner>,
}

impl<S: SessionStore> TowerSessionsStore<S> {
    /// Keeps tower-sessions' sessions in this store, which may be an `Arc<dyn SessionStore>`.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            owner: |_| None,
        }
    }

    /// Says whose session it is, from its entries. By default it is nobody's.
    ///
    /// With it, the store can list a user's sessions and end them all:
    /// [`expire_owner`](SessionStore::expire_owner) signs the user out everywhere. It is asked
    /// whenever a session is created or saved, so it should be quick.
    ///
    /// # Example
    ///
    /// For users of axum-login, which keeps the user's id under this key:
    ///
    /// ```
    /// use cloakroom_store_memory::MemoryStore;
    /// use cloakroom_tower_sessions::TowerSessionsStore;
    ///
    /// let store = MemoryStore::new();
    /// let sessions = TowerSessionsStore::new(store.clone()).owner(|entries| {
    ///     let user = entries.get("axum-login.data")?.get("user_id")?.as_i64()?;
    ///     user.to_string().parse().ok()
    /// });
    /// # drop(sessions);
    /// ```
    #[must_use]
    pub fn owner(self, of: fn(&Entries) -> Option<Owner>) -> Self {
        Self { owner: of, ..self }
    }
}
