use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::{error::Elapsed, timeout};

use crate::{
    Error, Result,
    layer::headers::{Additions, replace},
    observe,
    session::{Panicked, Place, Shared, ToItsEnd, finish},
    store,
};

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, B> {
        #[pin]
        inner: F,
        // Until the handler has returned; never where an outer layer of the same cookie name
        // does the work.
        shared: Option<Arc<Shared>>,
        finishing: Option<Box<Finishing<B>>>,
    }

    impl<F, B> PinnedDrop for ResponseFuture<F, B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(shared) = &this.shared {
                shared.abandon();
            }
        }
    }
}

/// The handler has returned; its session is being stored, whether or not anybody still waits
/// for the response (M7).
struct Finishing<B> {
    shared: Arc<Shared>,
    response: Response<B>,
    work: ToItsEnd<Finished>,
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
        let mut finishing = match this.finishing.take() {
            Some(finishing) => *finishing,
            None => {
                let answer = ready!(this.inner.poll(context));
                let Some(shared) = this.shared.take() else {
                    return Poll::Ready(answer);
                };
                let mut response = answer.inspect_err(|_| shared.abandon())?;
                if let Some(additions) = shared.try_seal(response.status()) {
                    additions.add_to(&mut response, &shared.config);
                    return Poll::Ready(Ok(response));
                }
                Finishing {
                    work: ToItsEnd::new(finished(Arc::clone(&shared))),
                    response,
                    shared,
                }
            }
        };
        match Pin::new(&mut finishing.work).poll(context) {
            Poll::Ready(finished) => Poll::Ready(Ok(finishing.answered(finished))),
            Poll::Pending => {
                *this.finishing = Some(Box::new(finishing));
                Poll::Pending
            }
        }
    }
}

impl<B: Default> Finishing<B> {
    /// The response after the store's calls, or after their panic.
    fn answered(self, finished: Result<Finished, Panicked>) -> Response<B> {
        let Self {
            shared,
            mut response,
            work: _,
        } = self;
        let (stored, additions) = finished.unwrap_or_else(|panicked| {
            let panicked = Error::Store(store::Error::backend(panicked));
            shared.sealed_after(Err(panicked))
        });
        if let Err(failure) = stored {
            replace(&mut response, failure.status());
        }
        additions.add_to(&mut response, &shared.config);
        response
    }
}

async fn finished(shared: Arc<Shared>) -> Finished {
    let finishing = pin!(async {
        let place = Place::take(&*shared);
        place.turn().await;
        let stored = finish(&shared).await;
        // While it is our turn: an act is either over, or finds that the response has left.
        shared.sealed_after(stored)
    });
    within(DEADLINE, finishing).await.unwrap_or_else(|late| {
        let late = Error::Store(store::Error::unavailable(late));
        shared.sealed_after(Err(late))
    })
}

/// A timeout that sets no timer for what is done at once.
async fn within<T>(
    deadline: Duration,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Elapsed> {
    match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout(deadline, work).await,
    }
}

impl Shared {
    /// Seals the session if there is nothing to wait for: no act that has begun, no changes and
    /// no touch.
    fn try_seal(&self, status: StatusCode) -> Option<Additions> {
        let mut state = self.state();
        let is_cut_off = status == StatusCode::REQUEST_TIMEOUT;
        if status.is_server_error() || is_cut_off || state.doomed {
            state.discard();
        }
        let is_over = state.turns.is_idle()
            && !state.has_pending()
            && !state.gone
            && state.touch_due().is_none();
        is_over.then(|| Additions::of(state.sealed(), &self.config))
    }

    /// Seals the session when its changes were stored, or drops those that were not.
    fn sealed_after(&self, stored: Result<()>) -> Finished {
        if let Err(failure) = &stored {
            observe::failed_commit(failure);
            self.state().discard();
        }
        let additions = Additions::of(self.state().sealed(), &self.config);
        (stored, additions)
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
