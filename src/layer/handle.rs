use std::{any::TypeId, fmt, marker::PhantomData, sync::Arc};

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
    /// Whoever has begun to poll it should go on, or drop it: all else that the session does waits
    /// for it.
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
        let name = |handle: &SessionHandle<()>| handle.shared.config.cookie.full_name().to_owned();
        let ours = self.shared.config.cookie.full_name();
        let visible = extensions.get::<SessionHandle<()>>();
        if visible.is_some_and(|outer| outer.shared.config.cookie.full_name() == ours)
            || extensions
                .get::<OtherNames>()
                .is_some_and(|names| names.has(ours))
        {
            return false;
        }
        // The plain handle says its own name for as long as it is visible.
        if TypeId::of::<M>() != TypeId::of::<()>() {
            let ours = ours.to_owned();
            extensions
                .get_or_insert_default::<OtherNames>()
                .0
                .push(ours);
        } else if let Some(hidden) = visible.map(name) {
            extensions
                .get_or_insert_default::<OtherNames>()
                .0
                .push(hidden);
        }
        extensions.insert(self);
        true
    }
}

/// The cookie names of the layers around a request, but for that of the plain handle in it.
#[derive(Clone, Default)]
struct OtherNames(Vec<String>);

impl OtherNames {
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
