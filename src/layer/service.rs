use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    layer::{Config, ResponseFuture, SessionHandle},
    session::Shared,
};

/// The service of a [`SessionLayer`](crate::SessionLayer).
pub struct SessionService<S, M = ()> {
    inner: S,
    config: Arc<Config>,
    marker: PhantomData<fn() -> M>,
}

impl<S, M> SessionService<S, M> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self {
            inner,
            config,
            marker: PhantomData,
        }
    }
}

impl<S, M, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S, M>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    M: 'static,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let shared = Arc::new(Shared::new(Arc::clone(&self.config), request.headers()));
        let handle = SessionHandle::<M>::new(Arc::clone(&shared));
        let entered = handle.enter(request.extensions_mut());
        ResponseFuture::new(self.inner.call(request), entered.then_some(shared))
    }
}

impl<S: Clone, M> Clone for SessionService<S, M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            config: Arc::clone(&self.config),
            marker: PhantomData,
        }
    }
}

impl<S: fmt::Debug, M> fmt::Debug for SessionService<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService")
            .field("inner", &self.inner)
            .field("config", &self.config)
            .finish()
    }
}
