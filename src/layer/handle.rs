use std::{fmt, marker::PhantomData, sync::Arc};

use http::Extensions;

use crate::{Result, Session, session::Shared};

/// A request's session before anybody has asked for it. It is in the request's extensions.
///
/// For tower services that do not use axum's extractors:
///
/// ```
/// use cloakroom::{Error, SessionHandle};
/// use http::{Request, Response};
///
/// async fn service(request: Request<String>) -> Result<Response<String>, Error> {
///     let handle = request.extensions().get::<SessionHandle>().ok_or(Error::LayerMissing)?;
///     let session = handle.load().await?;
///     let visits = session.update("visits", |visits| visits.unwrap_or(0) + 1)?;
///     Ok(Response::new(format!("visit {visits}")))
/// }
/// ```
pub struct SessionHandle<M = ()> {
    shared: Arc<Shared>,
    marker: PhantomData<fn() -> M>,
}

impl<M: 'static> SessionHandle<M> {
    /// Loads the session, the first time it is called; gives a handle on it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`](crate::Error::Store) if the store fails, unless the layer says
    /// [`Outage::Degrade`](crate::Outage::Degrade).
    pub async fn load(&self) -> Result<Session> {
        self.shared.load().await?;
        Ok(Session::new(Arc::clone(&self.shared)))
    }

    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            marker: PhantomData,
        }
    }

    /// Puts the handle where handlers find it, unless a layer of the same cookie name has been
    /// here before (M19).
    pub(super) fn enter(self, extensions: &mut Extensions) -> bool {
        let name = self.shared.config.cookie.full_name();
        let plain = extensions.get::<SessionHandle<()>>();
        if plain.is_some_and(|outer| outer.shared.config.cookie.full_name() == name) {
            return false;
        }
        if std::any::TypeId::of::<M>() == std::any::TypeId::of::<()>() {
            if extensions
                .get::<MarkedNames>()
                .is_some_and(|names| names.has(name))
            {
                return false;
            }
        } else {
            let names = extensions.get_or_insert_default::<MarkedNames>();
            if names.has(name) {
                return false;
            }
            names.0.push(name.to_owned());
        }
        extensions.insert(self);
        true
    }
}

/// The cookie names of the marked layers around a request.
#[derive(Clone, Default)]
struct MarkedNames(Vec<String>);

impl MarkedNames {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

impl<M> Clone for SessionHandle<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            marker: PhantomData,
        }
    }
}

impl<M> fmt::Debug for SessionHandle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionHandle").field(&self.shared).finish()
    }
}
