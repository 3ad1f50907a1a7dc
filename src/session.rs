//! One request's session.

mod about;
mod acts;
mod changes;
mod commit;
mod entries;
mod expiry;
mod shared;
mod state;
mod to_its_end;
mod turns;

use std::{fmt::Display, sync::Arc};

use time::OffsetDateTime;

use crate::{
    Error, Result,
    store::{Persistence, SessionId},
};

pub(crate) use self::{
    commit::finish,
    shared::Shared,
    state::{CookieDue, State},
    to_its_end::{Panicked, ToItsEnd},
    turns::Place,
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
/// both, and [`update`](Self::update) runs its closure again on a value that was changed. If the
/// session has ended meanwhile the changes are dropped: logout wins.
///
/// What leaves the entries as this request has loaded them is no change, and nothing is stored.
///
/// # Responses that are errors
///
/// With a status of `5xx` nothing is stored but what acted at once; with `4xx` all is. After
/// `408 Request Timeout`, with which timeout layers answer for a handler that they cut off, nothing is.
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
#[non_exhaustive]
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
    /// [`Error::Owner`] if the text cannot be an [`Owner`](crate::store::Owner); [`Error::Store`] and
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
    /// If this session has ended meanwhile, all of the owner's are others.
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
        shared::act(&self.shared, acts::sessions).await
    }
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}
