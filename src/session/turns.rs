//! One store call of a session after the other, in the order in which they were asked for (M6).

use std::{
    collections::VecDeque,
    future::poll_fn,
    ops::Deref,
    task::{Poll, Waker},
};

use crate::session::Shared;

/// The queue, a part of the session's state.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The place of who has the turn. Without one nobody waits.
    current: Option<u64>,
    waiting: VecDeque<Waiting>,
    /// How many places were taken.
    taken: u64,
}

#[derive(Debug)]
struct Waiting {
    place: u64,
    waker: Option<Waker>,
}

impl Turns {
    /// Whether nobody has the turn or waits for it.
    pub(crate) fn is_idle(&self) -> bool {
        self.current.is_none()
    }

    fn take_place(&mut self) -> u64 {
        self.taken += 1;
        let place = self.taken;
        match self.current {
            None => self.current = Some(place),
            Some(_) => self.waiting.push_back(Waiting { place, waker: None }),
        }
        place
    }

    /// Whether a place has its turn, or else the waker that this one replaces.
    fn poll(&mut self, place: u64, waker: &Waker) -> Result<(), Option<Waker>> {
        match self.waiting.iter_mut().find(|found| found.place == place) {
            None => Ok(()),
            Some(found) => Err(found.waker.replace(waker.clone())),
        }
    }

    /// Gives up a place, whether it was waiting or had the turn; says whom to wake. A place
    /// that was waiting is woken too: its waker is not to be dropped under the lock.
    fn leave(&mut self, place: u64) -> Option<Waker> {
        if self.current != Some(place) {
            let found = self.waiting.iter().position(|found| found.place == place)?;
            return self.waiting.remove(found)?.waker;
        }
        let next = self.waiting.pop_front();
        self.current = next.as_ref().map(|next| next.place);
        next?.waker
    }
}

/// A place in the queue, from when it is made until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<S: Deref<Target = Shared>> {
    pub(super) shared: S,
    place: u64,
    is_first: bool,
}

impl<S: Deref<Target = Shared>> Place<S> {
    /// Takes the last place.
    pub(crate) fn take(shared: S) -> Self {
        let (place, is_first) = {
            let turns = &mut shared.state().turns;
            let place = turns.take_place();
            (place, turns.current == Some(place))
        };
        Self {
            shared,
            place,
            is_first,
        }
    }

    /// Waits for the turn, which lasts until the place is dropped.
    pub(crate) async fn turn(&self) {
        if !self.is_first {
            poll_fn(|context| {
                let waker = context.waker();
                let polled = self.shared.state().turns.poll(self.place, waker);
                // Not under the lock: a waker is anybody's code.
                polled.map_or_else(|_replaced| Poll::Pending, Poll::Ready)
            })
            .await;
        }
    }
}

impl<S: Deref<Target = Shared>> Drop for Place<S> {
    fn drop(&mut self) {
        let next = self.shared.state().turns.leave(self.place);
        // Not under the lock: a waker is anybody's code.
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering::SeqCst},
        },
        time::Duration,
    };

    use cloakroom_test_support::dropped_after;
    use futures_util::FutureExt;
    use http::HeaderMap;
    use tokio::{task::yield_now, time::timeout};

    use super::*;
    use crate::{MemoryStore, layer::Config};

    fn shared() -> Arc<Shared> {
        let config = Arc::new(Config::new(Arc::new(MemoryStore::new())));
        Arc::new(Shared::new(config, &HeaderMap::new()))
    }

    #[test]
    fn turns_come_in_the_order_of_the_places() {
        let shared = shared();
        let [first, second, third] = [(); 3].map(|()| Place::take(&*shared));
        let is_turn = |place: &Place<&Shared>| place.turn().now_or_never().is_some();
        assert_eq!([&first, &second, &third].map(is_turn), [true, false, false]);
        drop(second);
        assert_eq!([&first, &third].map(is_turn), [true, false]);
        drop(first);
        assert!(is_turn(&third) && !shared.state().turns.is_idle());
        drop(third);
        assert!(shared.state().turns.is_idle());
    }

    /// Among many that want a turn, of whom half give up at some moment, never two have it, and
    /// nobody is forgotten.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn turns_survive_who_gives_up() {
        for round in 0..200 {
            let (shared, inside) = (shared(), Arc::new(AtomicU32::new(0)));
            let callers: Vec<_> = (0..20)
                .map(|_| {
                    let (shared, inside) = (Arc::clone(&shared), Arc::clone(&inside));
                    tokio::spawn(async move {
                        let place = Place::take(shared);
                        match fastrand::u32(0..8) {
                            0 => return,
                            1..4 => {
                                dropped_after(fastrand::u32(0..4), place.turn()).await;
                                return;
                            }
                            _ => place.turn().await,
                        }
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "round {round}");
                        yield_now().await;
                        assert_eq!(inside.fetch_sub(1, SeqCst), 1, "round {round}");
                    })
                })
                .collect();
            for caller in callers {
                let answer = timeout(Duration::from_secs(20), caller).await;
                answer.expect("nobody is forgotten").unwrap();
            }
            assert!(shared.state().turns.is_idle());
        }
    }
}
