//! One request's session.

mod acts;
mod changes;
mod commit;
mod shared;
mod state;

use std::{fmt::Display, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use crate::{
    Error, KeyFor, Result,
    observe::{self, observed},
    session::changes::Update,
    store::{KEY_LIMIT, Owner, Persistence, Record, SessionId},
};

pub(crate) use self::{
    commit::finish,
    shared::Shared,
    state::{CookieDue, State},
};

/// The session of one request.
///
/// In axum it is an extractor (feature `axum`); elsewhere [`SessionHandle::load`] gives it. Either
/// way it was loaded before the handler sees it, so that reading and changing entries is plain
/// and synchronous; changes are stored when the handler has returned, before the response head
/// leaves. What acts at once is `async`: [`sign_in`](Self::sign_in), [`rotate`](Self::rotate),
/// [`end`](Self::end), [`end_others`](Self::end_others), [`commit`](Self::commit).
///
/// Clones are handles on the same session.
///
/// # Concurrent requests
///
/// Only changes are kept. If another request has saved the session meanwhile they are applied to
/// the newest record, so that no update is lost: two requests that insert different keys leave
/// both, and [`update`](Self::update) runs its closure again. If the session has ended meanwhile
/// the changes are dropped: logout wins.
///
/// # Responses that are errors
///
/// With a status of `5xx` nothing is stored but what acted at once; with `4xx` all is.
///
/// [`SessionHandle::load`]: crate::SessionHandle::load
#[derive(Clone, Debug)]
pub struct Session {
    shared: Arc<Shared>,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The changes are stored.
    Saved,
    /// There was nothing to store.
    Unchanged,
    /// The session has ended, and the changes were dropped.
    Gone,
}

/// One of the owner's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The session.
    pub id: SessionId,
    /// Whether it outlives the browser.
    pub persistence: Persistence,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it ends if it is not used again.
    pub expires_at: OffsetDateTime,
    /// Whether it is the session of this request.
    pub current: bool,
}

/// Entries.
impl Session {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if it is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        let key = key.name();
        parse(key, self.shared.state().json(key))
    }

    /// Reads a value and removes it.
    ///
    /// Two requests at once may both take it. To count something down, use
    /// [`update`](Self::update).
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if it is not a `T`; it stays. [`Error::Store`] if the session is
    /// [degraded](Self::is_degraded).
    pub fn take<T: DeserializeOwned>(&self, key: impl KeyFor<T>) -> Result<Option<T>> {
        let key = key.name();
        let mut state = self.shared.state();
        state.check_writable()?;
        let value = parse(key, state.json(key))?;
        if value.is_some() {
            state.change(|changes| changes.remove(key));
        }
        Ok(value)
    }

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] if it cannot be written as JSON; [`Error::TooLarge`] if it or its key is
    /// over the limit; [`Error::Store`] if the session is [degraded](Self::is_degraded);
    /// [`Error::ResponseSent`] if this would begin a session and the response has left.
    pub fn insert<T: Serialize + ?Sized>(&self, key: impl KeyFor<T>, value: &T) -> Result<()> {
        let key = key.name();
        let json = serde_json::to_string(value).map_err(|cause| Error::value(key, cause))?;
        self.check_entry(key, &json)?;
        let mut state = self.shared.state();
        state.check_writable()?;
        state.change(|changes| changes.set(key, json));
        Ok(())
    }

    /// Changes a value by what it was, and returns what it is now.
    ///
    /// If another request has saved the session meanwhile, the closure runs again on the value
    /// that is there then, perhaps on another task. The value returned is the one that this
    /// request sees; who needs the stored one calls [`commit`](Self::commit) and then
    /// [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert).
    ///
    /// # Example
    ///
    /// ```
    /// # fn handler(session: cloakroom::Session) -> cloakroom::Result<()> {
    /// let visits = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: impl KeyFor<T>,
        f: impl Fn(Option<T>) -> T + Send + Sync + 'static,
    ) -> Result<T> {
        let key = key.name();
        let f = Arc::new(f);
        loop {
            let (before, version) = {
                let state = self.shared.state();
                state.check_writable()?;
                (state.json(key).map(str::to_owned), state.version)
            };
            let value = f(parse(key, before.as_deref())?);
            let json = serde_json::to_string(&value).map_err(|cause| Error::value(key, cause))?;
            self.check_entry(key, &json)?;
            let mut state = self.shared.state();
            // Another handle on this session may have changed it while the closure ran.
            if state.version == version {
                let again = rerun(key, Arc::clone(&f));
                state.change(|changes| changes.update(key, again, json));
                return Ok(value);
            }
        }
    }

    /// Removes a value, whatever it is.
    ///
    /// If the session is [degraded](Self::is_degraded), the response becomes a `503`.
    pub fn remove(&self, key: &str) {
        let mut state = self.shared.state();
        state.doomed |= state.degraded;
        state.change(|changes| changes.remove(key));
    }

    /// Removes all entries. The id, the owner and the lifetime stay.
    ///
    /// If the session is [degraded](Self::is_degraded), the response becomes a `503`.
    pub fn clear(&self) {
        let mut state = self.shared.state();
        state.doomed |= state.degraded;
        state.change(changes::Changes::clear);
    }

    /// The keys of all entries, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.shared.state().keys()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys().is_empty()
    }

    fn check_entry(&self, key: &str, json: &str) -> Result<()> {
        let limit = self.shared.config.record_limit;
        let parts = [
            ("bytes in a session key", key.len(), KEY_LIMIT),
            ("bytes in a session value", json.len(), limit),
        ];
        for (what, size, limit) in parts {
            if size > limit {
                return Err(Error::TooLarge { what, size, limit });
            }
        }
        Ok(())
    }
}

/// What the session is.
impl Session {
    /// Whether the store has no record of it (yet): nothing was ever written, or it has ended.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.shared.state().record.is_none()
    }

    /// The id under which the store has it. Safe to log: no cookie can be made from it.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.shared.state().id()
    }

    /// Who signed in.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.shared.state().record.as_ref()?.owner.clone()
    }

    /// Whether the session outlives the browser, as it will be stored.
    #[must_use]
    pub fn persistence(&self) -> Persistence {
        let state = self.shared.state();
        let stored = state.lifetime().map(|lifetime| lifetime.persistence());
        state
            .remember
            .or(stored)
            .unwrap_or(self.shared.config.default_persistence)
    }

    /// When the session ends if it is not used again, as the store said last, on its clock.
    #[must_use]
    pub fn expires_at(&self) -> Option<OffsetDateTime> {
        Some(self.shared.state().record.as_ref()?.stamp?.expires_at)
    }

    /// How long that was from then on.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.shared.state().record.as_ref()?.stamp?.remaining)
    }

    /// Whether the store could not be asked, and the application chose
    /// [`Outage::Degrade`](crate::Outage::Degrade). Then the session reads as empty and refuses
    /// to be changed.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.shared.state().degraded
    }

    /// Makes the session persistent, or browser-length.
    ///
    /// It takes effect on the cookie and on the server together, with the commit. Without a
    /// record it stores nothing, and is kept for one that is made in the same request, before
    /// or after. Once the response has left no cookie can follow, and the call does nothing.
    ///
    /// If the session is [degraded](Self::is_degraded), the response becomes a `503`.
    pub fn remember(&self, persistent: bool) {
        let mut state = self.shared.state();
        state.doomed |= state.degraded;
        if state.sent {
            tracing::warn!("remember() has no effect after the response is sent");
            return;
        }
        state.version += 1;
        state.remember = Some(match persistent {
            true => Persistence::Persistent,
            false => Persistence::Browser,
        });
    }
}

/// What acts at once.
///
/// Once begun, each of these runs to its end even if its future is dropped, and the response
/// waits for it. They carry no pending changes: those are stored with the commit.
impl Session {
    /// Signs a user in: a new id, this owner, a new absolute timeout.
    ///
    /// Makes a record if there is none. Entries stay, so that a visitor's cart survives, unless
    /// somebody else was signed in: then they are removed first, with all changes that were not
    /// stored yet. If the session has ended meanwhile, a fresh one begins.
    ///
    /// The lifetime is the layer's for the session's persistence; see
    /// [`remember`](Self::remember).
    ///
    /// # Errors
    ///
    /// [`Error::Owner`] if the text cannot be an [`Owner`]; [`Error::Store`] and
    /// [`Error::Contended`]; [`Error::ResponseSent`] if no new cookie can reach the browser.
    pub async fn sign_in(&self, owner: impl Display) -> Result<()> {
        let owner = owner.to_string().parse().map_err(Error::Owner)?;
        shared::act(&self.shared, |shared| acts::sign_in(shared, owner)).await
    }

    /// Gives the session a new id, as is due whenever its privileges change.
    ///
    /// Does nothing without a record.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] and [`Error::Contended`]; [`Error::ResponseSent`] if no new cookie can
    /// reach the browser.
    pub async fn rotate(&self) -> Result<()> {
        shared::act(&self.shared, acts::rotate).await
    }

    /// Ends the session on the server, and has the browser forget it.
    ///
    /// Pending changes are dropped. What is inserted afterwards begins a new session, of the
    /// default persistence and of nobody.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: the session may still be live.
    pub async fn end(&self) -> Result<()> {
        shared::act(&self.shared, acts::end).await
    }

    /// Ends all other sessions of the owner; says how many. Without an owner it does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: some may still be live.
    pub async fn end_others(&self) -> Result<u64> {
        shared::act(&self.shared, acts::end_others).await
    }

    /// Stores the changes now.
    ///
    /// The middleware does so when the handler has returned. Call it where the handler must know
    /// the outcome, and after the response has left, as in a websocket.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Contended`] and [`Error::TooLarge`], and [`Error::Value`] from
    /// an update that ran again: the changes stay pending. [`Error::ResponseSent`] if this would
    /// begin a session and the response has left.
    pub async fn commit(&self) -> Result<Committed> {
        shared::act(&self.shared, |shared| async move {
            commit::commit(&shared).await
        })
        .await
    }

    /// Reads the session again; says whether it lives. For websockets and other long handlers.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]: what was known stays.
    pub async fn reload(&self) -> Result<bool> {
        shared::act(&self.shared, acts::reload).await
    }

    /// All live sessions of the owner, newest first. Without an owner there are none.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>> {
        let (current, owner) = {
            let state = self.shared.state();
            if state.degraded {
                return Err(Error::degraded());
            }
            match &state.record {
                Some(Record {
                    id,
                    owner: Some(owner),
                    ..
                }) => (*id, owner.clone()),
                _ => return Ok(Vec::new()),
            }
        };
        let call = self.shared.config.store.list(&owner);
        let records = observed("list", current, observe::done, call).await?;
        let infos = records.into_iter().filter_map(|record| {
            let stamp = record.stamp?;
            Some(SessionInfo {
                id: record.id,
                persistence: record.lifetime.persistence(),
                created_at: stamp.created_at,
                expires_at: stamp.expires_at,
                current: record.id == current,
            })
        });
        Ok(infos.collect())
    }
}

/// Whether the browser keeps cookies (M18).
impl Session {
    /// Sends a cookie that dies with the browser and means nothing, to see whether it comes back.
    pub fn set_test_cookie(&self) {
        self.shared.state().probe = true;
    }

    /// Whether the browser sent any cookie of ours.
    #[must_use]
    pub fn test_cookie_worked(&self) -> bool {
        self.shared.found().any
    }
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

fn parse<T: DeserializeOwned>(key: &str, json: Option<&str>) -> Result<Option<T>> {
    json.map(serde_json::from_str)
        .transpose()
        .map_err(|cause| Error::value(key, cause))
}

/// The update as it is applied to another value than this request has seen.
fn rerun<T: Serialize + DeserializeOwned>(
    key: &str,
    f: Arc<impl Fn(Option<T>) -> T + Send + Sync + 'static>,
) -> Update {
    let key = key.to_owned();
    Arc::new(move |json| {
        let value = f(parse(&key, json)?);
        serde_json::to_string(&value).map_err(|cause| Error::value(&key, cause))
    })
}
