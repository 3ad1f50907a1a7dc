//! A call that meets no other of its kind: its caller does the work. To wake a task for it, and then
//! the caller again, took a sixth of a load.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

/// Work that its caller does, and a task from where it is dropped: what has begun comes to its end,
/// with its connection whole.
///
/// If it panics it is over: nobody has been answered, as the caller hears.
pub(crate) struct Relay {
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    runtime: Handle,
}

impl Relay {
    pub(crate) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            work: Some(Box::pin(work)),
            runtime: Handle::current(),
        }
    }
}

impl Future for Relay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(mut work) = self.work.take()
            && let Ok(Poll::Pending) =
                catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
        {
            self.work = Some(work);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;

    use tokio::{sync::oneshot, task::yield_now};

    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_done_though_it_is_dropped() {
        let (report, done) = oneshot::channel();
        let mut relay = Relay::new(async {
            yield_now().await;
            report.send(()).unwrap();
        });
        let poll = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut relay).poll(context)));
        assert!(poll.await.is_pending());
        drop(relay);
        done.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_its_end() {
        let (report, done) = oneshot::channel::<()>();
        Relay::new(async {
            let _report = report;
            yield_now().await;
            // Unlike `panic!` it prints nothing.
            resume_unwind(Box::new("as asked"));
        })
        .await;
        done.await.unwrap_err();
    }
}
