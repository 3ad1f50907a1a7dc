//! Calls of one kind that travel together to the only server: loads in a pipeline, and those that
//! run a script in one run of it.
//!
//! While few are on their way, each goes out at once as a command of its own. Beyond that, calls
//! gather until there are enough, or the callers that are ready to run have run, or a millisecond
//! has passed, and then go out together. They do not wait for those before them. In a cluster they
//! go one by one, since the keys of a command have to be on one server there.
//!
//! One by one, a connection writes nearly every command by a system call of its own, which takes
//! client and server longer than the command does; and each call has a timer, where those that
//! travel together share one. Loads by 64 callers were 0.68 of raw `GET` one by one, and are 0.78 to 1.06
//! of it together (docs/benchmarks.md, `examples/redis_throughput.rs`).

mod carrier;

use std::{
    future::Future,
    mem,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use cloakroom_store_api::{Result, SessionId};
use parking_lot::Mutex;
use redis::RedisError;
use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
    time::Instant,
};

use crate::{
    error::{self, About},
    lane::carrier::{Carrier, deliver},
    link::{Link, Shared},
};

/// A call on the store, of a kind that travels with others of its kind.
pub(crate) trait Call: Sized + Send + Sync + 'static {
    type Answer: Send;

    /// How many travel together at most: while a script runs, the server serves nobody else.
    const MOST: usize;

    fn lane(shared: &Shared) -> &Lane<Self>;

    /// The session that it is about.
    fn id(&self) -> SessionId;

    /// How many bytes it has for the server, beside its key and some numbers.
    fn size(&self) -> usize {
        0
    }

    /// Sends all calls; gives their answers in the same order.
    ///
    /// `is_second` says whether they were sent before and may have been done, and hears it if
    /// they are sent again here.
    fn send(
        calls: &[&Self],
        link: &Link,
        is_second: &mut bool,
    ) -> impl Future<Output = Result<Answers<Self>, RedisError>> + Send;
}

/// An answer for each call; `None` for one of several that has to ask alone, to hear what its
/// answer is.
pub(crate) type Answers<C> = Vec<Option<Result<<C as Call>::Answer>>>;

/// The calls of one kind that wait, and how many are on their way.
pub(crate) struct Lane<C: Call> {
    waiting: Mutex<Waiting<C>>,
    on_their_way: AtomicUsize,
}

struct Waiting<C: Call> {
    calls: Vec<Asked<C>>,
    /// Where the carrier runs that is about to take them. Without one there are none.
    carrier: Option<runtime::Id>,
}

/// A call, and who waits for it until when.
struct Asked<C: Call> {
    call: C,
    reply: oneshot::Sender<Result<C::Answer>>,
    until: Instant,
}

/// While fewer calls are on their way, the next does not gather.
const ALONE: usize = 16;

/// Sends a call, with others that come at the same time, and waits for its answer, at most until
/// the deadline. The call has to be the first of its link: those that travel together have the
/// deadline of the first of them.
pub(crate) async fn ask<C: Call>(link: &Link, call: C) -> Result<C::Answer> {
    let lane = C::lane(&link.shared);
    if link.is_cluster() || lane.on_their_way.load(Relaxed) < ALONE {
        let _way = lane.way(1);
        return ask_alone(link, call).await;
    }
    let (reply, answer) = oneshot::channel();
    let until = link.until;
    match lane.push(Asked { call, reply, until }) {
        Pushed::Waits => {}
        Pushed::First => drop(tokio::spawn(Carrier::<C>::new(&link.shared).send())),
        Pushed::Full(calls) => drop(tokio::spawn(deliver(link.shared.clone(), calls))),
        Pushed::Elsewhere(call) => {
            let _way = lane.way(1);
            return ask_alone(link, call).await;
        }
    }
    answer.await.unwrap_or_else(|_| Err(error::ended()))
}

/// What becomes of a call.
enum Pushed<C: Call> {
    Waits,
    /// It waits, and there has to be a carrier.
    First,
    /// They are enough. The carrier will take those that come after them.
    Full(Vec<Asked<C>>),
    /// Those who wait are carried in another runtime, and who knows whether that goes on.
    Elsewhere(C),
}

impl<C: Call> Lane<C> {
    /// Counts calls until this is dropped.
    fn way(&self, calls: usize) -> Way<'_> {
        self.on_their_way.fetch_add(calls, Relaxed);
        Way {
            on_their_way: &self.on_their_way,
            calls,
        }
    }

    fn push(&self, asked: Asked<C>) -> Pushed<C> {
        let runtime = Handle::current().id();
        let mut waiting = self.waiting.lock();
        match waiting.carrier {
            Some(carrier) if carrier != runtime => Pushed::Elsewhere(asked.call),
            Some(_) => {
                waiting.calls.push(asked);
                match waiting.calls.len() < C::MOST {
                    true => Pushed::Waits,
                    false => Pushed::Full(waiting.take()),
                }
            }
            None => {
                waiting.carrier = Some(runtime);
                waiting.calls.push(asked);
                Pushed::First
            }
        }
    }

    /// What the carrier takes that was awaited.
    fn take(&self) -> Vec<Asked<C>> {
        let mut waiting = self.waiting.lock();
        waiting.carrier = None;
        waiting.take()
    }
}

impl<C: Call> Waiting<C> {
    fn take(&mut self) -> Vec<Asked<C>> {
        mem::replace(&mut self.calls, Vec::with_capacity(C::MOST))
    }
}

impl<C: Call> Default for Lane<C> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                calls: Vec::with_capacity(C::MOST),
                carrier: None,
            }),
            on_their_way: AtomicUsize::new(0),
        }
    }
}

struct Way<'a> {
    on_their_way: &'a AtomicUsize,
    calls: usize,
}

impl Drop for Way<'_> {
    fn drop(&mut self) {
        self.on_their_way.fetch_sub(self.calls, Relaxed);
    }
}

/// Sends a call alone, such as the second command of one call, whose deadline is nearer than that
/// of others.
pub(crate) async fn ask_alone<C: Call>(link: &Link, call: C) -> Result<C::Answer> {
    // Boxed, so that those who wait in a lane do not hold what it takes to send.
    Box::pin(alone(&call, link, false)).await
}

async fn alone<C: Call>(call: &C, link: &Link, mut is_second: bool) -> Result<C::Answer> {
    let sent = C::send(&[call], link, &mut is_second).await;
    let answers = sent.map_err(|error| link.sorted(error, About::Session(call.id())))?;
    let answer = answers.into_iter().next().flatten();
    answer.unwrap_or_else(|| Err(error::unreadable(call.id())))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::load::Load;

    fn asked(byte: u8) -> Asked<Load> {
        Asked {
            call: Load(SessionId::from_bytes([byte; 16])),
            reply: oneshot::channel().0,
            until: Instant::now(),
        }
    }

    /// Each call allocates what it holds. It is within what allocators hand out quickly (glibc:
    /// 1,032 bytes), and what is rare, such as connecting, does not count.
    #[tokio::test]
    async fn a_call_holds_little() {
        let link = Link::new(&Shared::unconnected());
        let load = Load(SessionId::from_bytes([1; 16]));
        let bytes = size_of_val(&alone(&load, &link, false));
        println!("bytes={bytes}");
        assert!(bytes <= 1_024);
    }

    #[tokio::test]
    async fn calls_gather_until_they_are_enough() {
        let lane = Lane::<Load>::default();
        let bytes = |calls: Vec<Asked<Load>>| -> Vec<u8> {
            let bytes = calls.iter().map(|asked| asked.call.0.as_bytes()[0]);
            bytes.collect()
        };
        assert!(matches!(lane.push(asked(0)), Pushed::First));
        for first in [0, 16] {
            for byte in first.max(1)..first + 15 {
                assert!(matches!(lane.push(asked(byte)), Pushed::Waits));
            }
            let Pushed::Full(calls) = lane.push(asked(first + 15)) else {
                panic!("they are enough");
            };
            assert!(bytes(calls).into_iter().eq(first..first + 16));
        }
        assert!(matches!(lane.push(asked(32)), Pushed::Waits));
        assert_eq!(bytes(lane.take()), [32]);
        assert!(matches!(lane.push(asked(33)), Pushed::First));
    }

    /// What carries them may not go on before this one is late.
    #[test]
    fn calls_of_two_runtimes_do_not_travel_together() {
        let lane = Lane::<Load>::default();
        let runtimes = [(); 2].map(|()| {
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
        });
        let [one, other] = runtimes;
        one.block_on(async {
            assert!(matches!(lane.push(asked(0)), Pushed::First));
            assert!(matches!(lane.push(asked(1)), Pushed::Waits));
        });
        other.block_on(async {
            assert!(matches!(lane.push(asked(2)), Pushed::Elsewhere(Load(_))));
            assert_eq!(lane.take().len(), 2);
            assert!(matches!(lane.push(asked(2)), Pushed::First));
        });
    }

    /// While many are on their way, callers wait for a carrier, which shares its thread with who
    /// blocks it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_blocked_thread_holds_up_nobody_on_others() {
        const ROUNDS: u32 = 4;
        let shared = Shared::unconnected();
        let _way = shared.loads.way(ALONE);
        let mut held_up = 0;
        for _ in 0..ROUNDS {
            let shared = Arc::clone(&shared);
            let round = tokio::spawn(async move {
                // It comes after the carrier, most likely on the same thread.
                let blocked = async { std::thread::sleep(Duration::from_secs(1)) };
                let blocked = tokio::spawn(blocked);
                let load = Load(SessionId::from_bytes([1; 16]));
                // There is no server, which it hears at once.
                ask(&Link::new(&shared), load).await.unwrap_err();
                let is_held_up = blocked.is_finished();
                blocked.await.unwrap();
                is_held_up
            });
            held_up += u32::from(round.await.unwrap());
        }
        println!("rounds={ROUNDS} held_up={held_up}");
        assert_eq!(held_up, 0);
    }
}
