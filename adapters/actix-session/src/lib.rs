#![doc = include_str!("../README.md")]

mod calls;
mod peer;

use std::collections::HashMap;

use cloakroom_store_api::{Owner, SessionStore};

/// What actix-session keeps of a session: JSON texts by key.
pub type Entries = HashMap<String, String>;

/// A store of Cloakroom as a store of actix-session.
///
/// What its calls do is in the [crate's documentation](crate).
///
/// # Example
///
/// ```
/// use actix_session::SessionMiddleware;
/// use actix_web::cookie::Key;
/// use cloakroom_actix_session::ActixSessionStore;
/// use cloakroom_store_memory::MemoryStore;
///
/// let store = ActixSessionStore::new(MemoryStore::new());
/// let middleware = SessionMiddleware::new(store, Key::generate());
/// # drop(middleware);
/// ```
#[derive(Clone, Debug)]
pub struct ActixSessionStore<S> {
    store: S,
    owner: fn(&Entries) -> Option<Owner>,
}

impl<S: SessionStore> ActixSessionStore<S> {
    /// Keeps actix-session's sessions in this store, which may be an `Arc<dyn SessionStore>`.
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
    /// whenever a session is saved or updated, so it should be quick. Values are JSON texts, a
    /// string among them in its quotation marks.
    ///
    /// # Example
    ///
    /// For an application that inserts a number under `user_id`:
    ///
    /// ```
    /// use cloakroom_actix_session::ActixSessionStore;
    /// use cloakroom_store_memory::MemoryStore;
    ///
    /// let sessions = ActixSessionStore::new(MemoryStore::new())
    ///     .owner(|entries| entries.get("user_id")?.parse().ok());
    /// # drop(sessions);
    /// ```
    #[must_use]
    pub fn owner(self, of: fn(&Entries) -> Option<Owner>) -> Self {
        Self { owner: of, ..self }
    }
}
