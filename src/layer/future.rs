use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::{task::JoinHandle, time::timeout};
use tracing::Instrument;

use crate::{
    Error, Result,
    layer::headers::Additions,
    session::{Shared, finish},
};

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, B> {
        #[pin]
        inner: F,
        // None where an outer layer of the same cookie name does the work.
        shared: Option<Arc<Shared>>,
        finishing: Option<Finishing<B>>,
    }
}

/// The handler has returned; its session is being stored, whether or not anybody still waits
/// for the response (M7).
struct Finishing<B> {
    task: JoinHandle<Result<()>>,
    response: Option<Response<B>>,
}

/// How long the store calls after a handler may take all in all: five seconds of contention and
/// a store's own deadline twice.
const DEADLINE: Duration = Duration::from_secs(15);

impl<F, B> ResponseFuture<F, B> {
    pub(super) fn new(inner: F, shared: Option<Arc<Shared>>) -> Self {
        Self {
            inner,
            shared,
            finishing: None,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.finishing.is_none() {
            let answer = ready!(this.inner.poll(context));
            let Some(shared) = this.shared else {
                return Poll::Ready(answer);
            };
            let response = answer.inspect_err(|_| shared.abandon())?;
            if !shared.needs_finishing(response.status()) {
                return Poll::Ready(Ok(sealed(shared, response)));
            }
            *this.finishing = Some(Finishing {
                task: tokio::spawn(finished(Arc::clone(shared)).in_current_span()),
                response: Some(response),
            });
        }
        let (Some(shared), Some(finishing)) = (this.shared, this.finishing) else {
            return Poll::Pending;
        };
        let outcome = ready!(Pin::new(&mut finishing.task).poll(context));
        let response = finishing
            .response
            .take()
            .expect("polled once more after it was ready");
        let response = match outcome.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR) {
            Ok(Ok(())) => response,
            Ok(Err(failure)) => replaced(failure.status()),
            Err(panicked) => replaced(panicked),
        };
        Poll::Ready(Ok(sealed(shared, response)))
    }
}

async fn finished(shared: Arc<Shared>) -> Result<()> {
    let finishing = async {
        let _gate = shared.gate.lock().await;
        finish(&shared).await
    };
    timeout(DEADLINE, finishing)
        .await
        .unwrap_or_else(|late| Err(Error::Store(crate::store::Error::unavailable(late))))
}

fn replaced<B: Default>(status: StatusCode) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = status;
    response
}

/// The response with what the session adds to its head. From here on no cookie can follow (M20).
fn sealed<B: Default>(shared: &Shared, response: Response<B>) -> Response<B> {
    let mut state = shared.state();
    let mut response = match state.doomed {
        true => replaced(Error::degraded().status()),
        false => response,
    };
    let additions = Additions::of(&state, &shared.config);
    state.sent = true;
    drop(state);
    additions.add_to(response.headers_mut(), &shared.config);
    response
}

impl Shared {
    /// Whether there is anything to wait for: an act that has begun, changes, a touch.
    fn needs_finishing(&self, status: StatusCode) -> bool {
        let acting = self.gate.try_lock().is_err();
        let mut state = self.state();
        if status.is_server_error() || state.doomed {
            state.discard();
        }
        acting || state.has_pending() || state.gone || state.touch_due().is_some()
    }

    /// The inner service has failed: nothing is stored but what acted at once (M7).
    fn abandon(&self) {
        self.state().discard();
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("shared", &self.shared)
            .field("finishing", &self.finishing.is_some())
            .finish_non_exhaustive()
    }
}
