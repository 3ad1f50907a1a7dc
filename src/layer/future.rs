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
    task: JoinHandle<(Result<()>, Additions)>,
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
            if let Some(additions) = shared.try_seal(response.status()) {
                return Poll::Ready(Ok(completed(shared, response, additions)));
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
        let (response, additions) = match outcome {
            Ok((Ok(()), additions)) => (response, additions),
            Ok((Err(failure), additions)) => (replaced(response, failure.status()), additions),
            Err(_panicked) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                (replaced(response, status), shared.seal())
            }
        };
        Poll::Ready(Ok(completed(shared, response, additions)))
    }
}

async fn finished(shared: Arc<Shared>) -> (Result<()>, Additions) {
    let finishing = async {
        let _gate = shared.gate.lock().await;
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
        let gate = self.gate.try_lock();
        let mut state = self.state();
        if status.is_server_error() || state.doomed {
            state.discard();
        }
        let has_work = state.has_pending() || state.gone || state.touch_due().is_some();
        drop(state);
        (gate.is_ok() && !has_work).then(|| self.seal())
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
