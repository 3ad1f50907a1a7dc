use http::StatusCode;

use crate::store::{self, ParseOwnerError};

/// The result of a call on a session.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Something about a session failed.
///
/// It is the rejection of the extractors and, with the feature `axum`, a response: `503` for a
/// store that is unavailable and for contention, else `500`, with an empty body. A session that
/// has ended is no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error("session store call failed")]
    Store(#[source] store::Error),

    /// A value could not be written as JSON, or is not of the type it is read as.
    ///
    /// What serde says of it is not kept: it quotes the value, which may be private.
    #[error("session value {key:?} cannot be converted to or from {type_name}")]
    Value {
        /// The key of the value.
        key: String,
        /// The Rust type.
        type_name: &'static str,
    },

    /// A value, a key or the whole session is too large. Nothing was stored.
    #[error("{size} {what}, over the limit of {limit}")]
    TooLarge {
        /// What there is too much of, such as `"bytes in a session value"`.
        what: &'static str,
        /// How much of it there is.
        size: usize,
        /// How much of it there may be.
        limit: usize,
    },

    /// The user id given to `sign_in` cannot be an owner.
    #[error("the user id cannot own a session")]
    Owner(#[source] ParseOwnerError),

    /// Others saved the session again and again for 5 s. The changes were not stored.
    #[error("session is saved by too many requests at once")]
    Contended,

    /// The response head has left, so that no new session id can reach the browser.
    #[error("the response has been sent already, a new session id would not reach the browser")]
    ResponseSent,

    /// No `SessionLayer` of this kind is around the handler.
    #[error(
        "no SessionLayer of this kind around this handler: add one to the router; beside another it needs a \
        cookie name of its own"
    )]
    LayerMissing,
}

impl Error {
    /// The status of a response that reports this error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Store(store::Error::Unavailable(_)) | Self::Contended => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn value<T: ?Sized>(key: &str) -> Self {
        Self::Value {
            key: key.to_owned(),
            type_name: std::any::type_name::<T>(),
        }
    }

    pub(crate) fn degraded() -> Self {
        Self::Store(store::Error::unavailable(
            "the session could not be loaded, so it cannot be changed",
        ))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            error => Self::Store(error),
        }
    }
}
