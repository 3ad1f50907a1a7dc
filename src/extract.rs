//! axum's extractors and responses.

use std::{fmt, marker::PhantomData, ops::Deref};

use axum_core::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{Error, Result, Session, SessionHandle, observe};

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        load::<()>(parts).await
    }
}

/// The session of a layer that is [`marked`](crate::SessionLayer::marked) with `M`.
///
/// ```
/// use cloakroom::{Marked, Result, Session};
///
/// struct Admin;
///
/// async fn handler(visitor: Session, admin: Marked<Admin>) -> Result<()> {
///     admin.insert("seen", &visitor.id().is_some())
/// }
/// ```
pub struct Marked<M> {
    session: Session,
    marker: PhantomData<fn() -> M>,
}

impl<M> Deref for Marked<M> {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl<M: 'static, S: Send + Sync> FromRequestParts<S> for Marked<M> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self {
            session: load::<M>(parts).await?,
            marker: PhantomData,
        })
    }
}

impl<M> Clone for Marked<M> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            marker: PhantomData,
        }
    }
}

impl<M> fmt::Debug for Marked<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Marked").field(&self.session).finish()
    }
}

impl IntoResponse for Error {
    /// Logs what nobody has logged before.
    fn into_response(self) -> Response {
        observe::answered(&self);
        self.status().into_response()
    }
}

async fn load<M: 'static>(parts: &Parts) -> Result<Session> {
    match parts.extensions.get::<SessionHandle<M>>() {
        Some(handle) => handle.load().await,
        None => {
            observe::layer_missing();
            Err(Error::LayerMissing)
        }
    }
}
