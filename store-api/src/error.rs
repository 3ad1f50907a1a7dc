use crate::SessionId;

/// What a call on a store comes to.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an error, of whatever type the store's driver has.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A store failed.
///
/// Sessions that are unknown, ended or expired, ids that are taken and races that were lost are
/// answers, not errors. The variants differ in what the caller can do; the cause is
/// [`source`](std::error::Error::source) and is not repeated in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not be reached, or did not answer in time. Try later. A write may have
    /// been done all the same.
    #[error("session store unavailable")]
    Unavailable(#[source] BoxError),

    /// The store refused, and would again.
    #[error("session store failed")]
    Backend(#[source] BoxError),

    /// The record of this session cannot be read. It can still be expired.
    #[error("session {id} is unreadable")]
    Corrupt {
        /// The session.
        id: SessionId,
        /// What is wrong with its record.
        source: BoxError,
    },

    /// Nothing was stored, because something is larger than a record can be.
    #[error("{size} {what}, over the limit of {limit}")]
    TooLarge {
        /// What there is too much of, such as `"bytes in a session record"`.
        what: &'static str,
        /// How much of it there is.
        size: usize,
        /// How much of it there may be.
        limit: usize,
    },
}

impl Error {
    /// An [`Error::Unavailable`] with this cause.
    pub fn unavailable(cause: impl Into<BoxError>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// An [`Error::Backend`] with this cause.
    pub fn backend(cause: impl Into<BoxError>) -> Self {
        Self::Backend(cause.into())
    }

    /// An [`Error::Corrupt`] for this session, with this cause.
    pub fn corrupt(id: SessionId, cause: impl Into<BoxError>) -> Self {
        Self::Corrupt {
            id,
            source: cause.into(),
        }
    }
}
