use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use tokio::task::yield_now;

/// Polls a future once; says whether it is done.
pub async fn done_after_a_poll<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

/// Polls a future this often, then drops it; says whether it was dropped before it was done.
///
/// It does not wait to be woken, but lets other tasks run between two polls: so each number of
/// polls drops it at another moment of what goes on elsewhere for it.
pub async fn dropped_after<F: Future>(polls: u32, future: F) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if done_after_a_poll(future.as_mut()).await {
            return false;
        }
        yield_now().await;
    }
    true
}

/// Drops one future after one poll, another after two, and so on until one is done before it is
/// dropped, or `most` were; says how many were dropped.
pub async fn dropped_after_every_poll<F: Future>(most: u32, mut make: impl FnMut() -> F) -> u32 {
    for polls in 1..=most {
        if !dropped_after(polls, make()).await {
            return polls - 1;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn yields(times: u32) {
        for _ in 0..times {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_future_is_dropped_after_so_many_polls() {
        assert!(dropped_after(3, yields(3)).await);
        assert!(!dropped_after(4, yields(3)).await);
    }

    #[tokio::test]
    async fn every_poll_drops_one_future() {
        assert_eq!(dropped_after_every_poll(100, || yields(7)).await, 7);
        assert_eq!(dropped_after_every_poll(5, || yields(7)).await, 5);
    }
}
