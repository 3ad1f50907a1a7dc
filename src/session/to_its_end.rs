use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Work that, once begun, runs to its end even if this future is dropped (M6, M7).
///
/// Most stores' answers have to be waited for, and then a task does so, in the span that was
/// current when it began. What is done at once needs none.
pub(crate) struct ToItsEnd<T> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    task: Option<JoinHandle<T>>,
}

/// The work has panicked.
#[derive(Debug, thiserror::Error)]
#[error("what was to be done for the session has panicked")]
pub(crate) struct Panicked;

impl<T> ToItsEnd<T> {
    /// The work begins when this is first polled.
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            work: Some(Box::pin(work)),
            task: None,
        }
    }
}

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(mut work) = self.work.take() {
            match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
                Ok(Poll::Ready(done)) => return Poll::Ready(Ok(done)),
                Ok(Poll::Pending) => self.task = Some(tokio::spawn(work.in_current_span())),
                Err(_) => return Poll::Ready(Err(Panicked)),
            }
        }
        let task = self
            .task
            .as_mut()
            .expect("it is not polled once it is done");
        Pin::new(task).poll(context).map_err(|_| Panicked)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;

    use futures_util::FutureExt;
    use tokio::{sync::oneshot, task::yield_now};

    use super::*;

    #[test]
    fn what_is_done_at_once_needs_no_runtime() {
        let done = ToItsEnd::new(async { 7 }).now_or_never();
        assert!(matches!(done, Some(Ok(7))));
    }

    #[tokio::test]
    async fn work_that_was_begun_is_done_though_it_is_dropped() {
        for polls in [0, 1] {
            let (report, done) = oneshot::channel();
            let mut work = ToItsEnd::new(async move {
                yield_now().await;
                report.send(()).unwrap();
            });
            for _ in 0..polls {
                assert!((&mut work).now_or_never().is_none());
            }
            drop(work);
            assert_eq!(done.await.is_ok(), polls > 0);
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_at_once_and_later() {
        for yields in [0, 2] {
            let work = async move {
                for _ in 0..yields {
                    yield_now().await;
                }
                // Unlike `panic!` it prints nothing.
                resume_unwind(Box::new("as asked"));
            };
            assert!(ToItsEnd::<()>::new(work).await.is_err());
        }
    }
}
