use std::time::Duration;

use time::OffsetDateTime;

use crate::{
    Session, observe,
    store::{Owner, Persistence, SessionId},
};

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

    /// How much time was left when the store last answered.
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
        let is_late = {
            let mut state = self.shared.state();
            state.doomed |= state.degraded;
            if !state.sent {
                state.remember = Some(match persistent {
                    true => Persistence::Persistent,
                    false => Persistence::Browser,
                });
            }
            state.sent
        };
        // Not under the lock: a subscriber is anybody's code.
        if is_late {
            observe::late_remember();
        }
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
        self.shared.config.cookie.has_any(self.shared.cookies())
    }
}
