//! A call that meets no other of its kind: its caller does the work. To wake a task for it, and then
//! the caller again, took a sixth of a load.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::runtime::Handle;

/// Work that its caller does, and a task from where it is dropped: what has begun comes to its end,
/// with its connection whole.
pub(crate) struct ToItsEnd(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl ToItsEnd {
    pub(crate) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl Future for ToItsEnd {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(work) = &mut self.0 {
            ready!(work.as_mut().poll(context));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}
