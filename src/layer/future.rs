use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
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
    layer::headers::{Additions, replaced},
    observe,
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

    impl<F, B> PinnedDrop for ResponseFuture<F, B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let (Some(shared), None) = (this.shared, this.finishing) {
                shared.abandon_unless_sent();
            }
        }
    }
}

/// The handler has returned; its session is being stored, whether or not anybody still waits
/// for the response (M7).
struct Finishing<B> {
    task: JoinHandle<Finished>,
    response: Option<Response<B>>,
}

/// Whether all was stored, and what the response head gets.
type Finished = (Result<()>, Additions);

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
            if let Some(additions) = shared.try_seal(response.status()) {
                return Poll::Ready(Ok(completed(shared, response, additions)));
            }
            let mut finishing = Box::pin(finished(Arc::clone(shared)));
            // A store that answers at once needs no task.
            let at_once = || finishing.as_mut().poll(context);
            match catch_unwind(AssertUnwindSafe(at_once)) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(finished)) => {
                    return Poll::Ready(Ok(answered(shared, response, Some(finished))));
                }
                Err(_panic) => return Poll::Ready(Ok(answered(shared, response, None))),
            }
            *this.finishing = Some(Finishing {
                task: tokio::spawn(finishing.in_current_span()),
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
        Poll::Ready(Ok(answered(shared, response, outcome.ok())))
    }
}

/// The response after the store's calls, or after their panic.
fn answered<B: Default>(
    shared: &Shared,
    response: Response<B>,
    finished: Option<Finished>,
) -> Response<B> {
    let (response, additions) = match finished {
        Some((Ok(()), additions)) => (response, additions),
        Some((Err(failure), additions)) => (replaced(response, failure.status()), additions),
        None => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            (replaced(response, status), shared.seal())
        }
    };
    completed(shared, response, additions)
}

async fn finished(shared: Arc<Shared>) -> Finished {
    let finishing = async {
        let _gate = shared.gate().lock().await;
        let finished = finish(&shared).await;
        // With the gate held: an act is either over, or finds that the response has left.
        (finished, shared.seal())
    };
    timeout(DEADLINE, finishing).await.unwrap_or_else(|late| {
        let late = Error::Store(crate::store::Error::unavailable(late));
        observe::failed_commit(&late);
        shared.state().discard();
        (Err(late), shared.seal())
    })
}

fn completed<B: Default>(
    shared: &Shared,
    response: Response<B>,
    additions: Additions,
) -> Response<B> {
    let mut response = match shared.state().doomed {
        true => replaced(response, Error::degraded().status()),
        false => response,
    };
    additions.add_to(&mut response, &shared.config);
    response
}

impl Shared {
    /// Seals the session if there is nothing to wait for: no act that has begun, no changes and
    /// no touch.
    fn try_seal(&self, status: StatusCode) -> Option<Additions> {
        let is_idle = self.is_idle();
        let mut state = self.state();
        if status.is_server_error() || state.doomed {
            state.discard();
        }
        let has_work = state.has_pending() || state.gone || state.touch_due().is_some();
        drop(state);
        (is_idle && !has_work).then(|| self.seal())
    }

    /// What the session adds to the response head. From here on no cookie can follow (M20).
    fn seal(&self) -> Additions {
        let mut state = self.state();
        state.sent = true;
        Additions::of(&state, &self.config)
    }

    fn abandon_unless_sent(&self) {
        if !self.state().sent {
            self.abandon();
        }
    }

    /// No response will carry a cookie: the inner service has failed, or nobody waits for it.
    /// Nothing is stored but what acted at once (M7), and no id changes any more (M20).
    fn abandon(&self) {
        let mut state = self.state();
        state.discard();
        state.sent = true;
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
