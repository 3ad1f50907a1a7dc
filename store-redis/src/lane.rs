//! Calls of one script that travel together to the only server, which runs it once for all.
//!
//! While few are on their way, each goes out at once as a command of its own. Beyond that, calls
//! gather until the callers that are ready to run have run, and one command carries them all. It
//! waits for no timer, and not for those before it. In a cluster they go one by one, since the
//! keys of a command have to be on one server there.

use std::{
    future::Future,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use cloakroom_store_api::{Result, SessionId};
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::RedisError;
use tokio::{
    sync::oneshot,
    task::yield_now,
    time::{Instant, timeout_at},
};

use crate::{
    error::{self, About},
    link::{Answer, Link, Shared},
};

/// A call on the store, of a kind that shares commands with others of its kind.
pub(crate) trait Call: Sized + Send + Sync + 'static {
    fn lane(shared: &Shared) -> &Lane<Self>;

    /// The session that it is about.
    fn id(&self) -> SessionId;

    /// How many bytes it has for the server, about.
    fn size(&self) -> usize;

    /// Sends one command for all calls; gives their answers in the same order.
    ///
    /// `is_second` says whether they were sent before and may have been done, and hears it if
    /// they are sent again here.
    fn send(
        calls: &[&Self],
        link: &Link,
        is_second: &mut bool,
    ) -> impl Future<Output = Result<Answers, RedisError>> + Send;
}

/// An answer for each call; `None` for one of several that has to ask alone, to hear what its
/// answer is.
pub(crate) type Answers = Vec<Option<Result<Answer>>>;

/// The calls of one kind that wait, and how many commands are on their way.
pub(crate) struct Lane<C: Call> {
    waiting: Mutex<Vec<Asked<C>>>,
    on_their_way: AtomicUsize,
}

/// A call, and who waits for it until when.
struct Asked<C: Call> {
    call: C,
    reply: oneshot::Sender<Result<Answer>>,
    until: Instant,
}

/// While fewer commands are on their way, a call does not gather: 64 callers who save gain a sixth by
/// sharing, and 16 lose 7 in 100 (medians of five runs in turn, as `examples/throughput.rs` has them).
const ALONE: usize = 16;

/// How many calls share a command at most: while it runs, the server serves nobody else.
const MOST: usize = 128;

/// A command takes no more calls once it has this many bytes.
const BYTES: usize = 1024 * 1024;

/// Sends a call, with others that come at the same time, and waits for its answer, at most until
/// the deadline.
pub(crate) async fn ask<C: Call>(link: &Link, call: C) -> Result<Answer> {
    let lane = C::lane(&link.shared);
    if link.is_cluster() || lane.on_their_way.load(Relaxed) < ALONE {
        let _way = lane.way();
        return ask_alone(link, call).await;
    }
    let (reply, answer) = oneshot::channel();
    let until = link.until;
    if lane.push(Asked { call, reply, until }) {
        tokio::spawn(Carrier::<C>::new(&link.shared).send());
    }
    match timeout_at(until, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(error::ended()),
        Err(_) => Err(error::too_late(link.shared.deadline)),
    }
}

impl<C: Call> Lane<C> {
    /// Counts a command until this is dropped.
    fn way(&self) -> Way<'_> {
        self.on_their_way.fetch_add(1, Relaxed);
        Way(&self.on_their_way)
    }

    /// Lets a call wait; says whether it is the first, and nobody is about to send it.
    fn push(&self, asked: Asked<C>) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.push(asked);
        waiting.len() == 1
    }
}

impl<C: Call> Default for Lane<C> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Vec::new()),
            on_their_way: AtomicUsize::new(0),
        }
    }
}

struct Way<'a>(&'a AtomicUsize);

impl Drop for Way<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Who is about to send what waits. Dropped before that, with its runtime, it leaves nobody
/// waiting: they hear it at once.
struct Carrier<C: Call> {
    shared: Arc<Shared>,
    lane: fn(&Shared) -> &Lane<C>,
    /// From then on others may wait, for another carrier.
    has_taken: bool,
}

impl<C: Call> Carrier<C> {
    fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            lane: C::lane,
            has_taken: false,
        }
    }

    async fn send(mut self) {
        // Callers that were answered just now are about to ask again. They are let run first,
        // and share the command.
        yield_now().await;
        let mut batches = batches(self.take()).into_iter();
        let last = batches.next_back();
        for batch in batches {
            tokio::spawn(deliver(Arc::clone(&self.shared), batch));
        }
        if let Some(batch) = last {
            deliver(Arc::clone(&self.shared), batch).await;
        }
    }

    fn take(&mut self) -> Vec<Asked<C>> {
        self.has_taken = true;
        mem::take(&mut *(self.lane)(&self.shared).waiting.lock())
    }
}

impl<C: Call> Drop for Carrier<C> {
    fn drop(&mut self) {
        if !self.has_taken {
            drop(self.take());
        }
    }
}

/// What to send in one command each. Calls that nobody waits for any more are left out.
fn batches<C: Call>(waiting: Vec<Asked<C>>) -> Vec<Vec<Asked<C>>> {
    let now = Instant::now();
    let mut batches = Vec::new();
    let (mut batch, mut size) = (Vec::with_capacity(waiting.len().min(MOST)), 0);
    for asked in waiting {
        if asked.reply.is_closed() || asked.until <= now {
            continue;
        }
        size += asked.call.size();
        if batch.len() == MOST || (size > BYTES && !batch.is_empty()) {
            batches.push(mem::take(&mut batch));
            size = asked.call.size();
        }
        batch.push(asked);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

/// Sends a call in a command of its own, such as the second command of one call, whose deadline is
/// nearer than that of others.
pub(crate) async fn ask_alone<C: Call>(link: &Link, call: C) -> Result<Answer> {
    // Boxed, so that those who wait in a lane do not hold what it takes to send.
    Box::pin(alone(&call, link, false)).await
}

async fn alone<C: Call>(call: &C, link: &Link, mut is_second: bool) -> Result<Answer> {
    let sent = C::send(&[call], link, &mut is_second).await;
    let answers = sent.map_err(|error| link.sorted(error, About::Session(call.id())))?;
    let answer = answers.into_iter().next().flatten();
    answer.unwrap_or_else(|| Err(error::unreadable(call.id())))
}

/// Sends one command for all of a batch.
async fn deliver<C: Call>(shared: Arc<Shared>, batch: Vec<Asked<C>>) {
    let _way = C::lane(&shared).way();
    let calls: Vec<_> = batch.iter().map(|asked| &asked.call).collect();
    let until = batch.iter().map(|asked| asked.until).max();
    let link = Link {
        shared: Arc::clone(&shared),
        until: until.unwrap_or_else(Instant::now),
    };
    let mut is_second = false;
    let answers = match C::send(&calls, &link, &mut is_second).await {
        Ok(answers) => answers,
        // Nothing is sent again that may have been done already.
        Err(error) if calls.len() == 1 || is_second || error.is_io_error() => {
            let about = calls.iter().map(|call| About::Session(call.id()));
            let told = |about| Some(Err(link.sorted(error.clone(), about)));
            about.map(told).collect()
        }
        // The server has refused the command, perhaps for one of them, and done nothing.
        Err(_) => calls.iter().map(|_| None).collect(),
    };
    let mut others = Vec::new();
    for (asked, answer) in batch.into_iter().zip(answers) {
        match answer {
            // Nobody may wait any more.
            Some(answer) => drop(asked.reply.send(answer)),
            None => others.push(asked),
        }
    }
    if !others.is_empty() {
        // Beside the lane, which they are not to hold up.
        tokio::spawn(deliver_each(Arc::clone(&shared), others, is_second));
    }
}

async fn deliver_each<C: Call>(shared: Arc<Shared>, batch: Vec<Asked<C>>, is_second: bool) {
    let alone = batch.into_iter().map(async |asked| {
        let link = Link {
            shared: Arc::clone(&shared),
            until: asked.until,
        };
        // Nobody may wait any more.
        let _ = asked.reply.send(alone(&asked.call, &link, is_second).await);
    });
    join_all(alone).await;
}

#[cfg(test)]
mod tests {
    use cloakroom_store_api::SessionToken;

    use super::*;

    /// A call of so many bytes.
    struct Bytes(usize);

    impl Call for Bytes {
        fn lane(_: &Shared) -> &Lane<Self> {
            unreachable!("nothing is sent")
        }

        fn id(&self) -> SessionId {
            SessionToken::generate().unwrap().id()
        }

        fn size(&self) -> usize {
            self.0
        }

        async fn send(_: &[&Self], _: &Link, _: &mut bool) -> Result<Answers, RedisError> {
            unreachable!("nothing is sent")
        }
    }

    type Waiter = oneshot::Receiver<Result<Answer>>;

    fn asked(size: usize, until: Instant) -> (Asked<Bytes>, Waiter) {
        let (reply, waiter) = oneshot::channel();
        let call = Bytes(size);
        (Asked { call, reply, until }, waiter)
    }

    /// How many calls each command has for calls of these sizes.
    fn counts(sizes: &[usize]) -> Vec<usize> {
        let until = Instant::now() + std::time::Duration::from_mins(1);
        let asked = sizes.iter().map(|&size| asked(size, until));
        let (asked, _waiters): (Vec<_>, Vec<_>) = asked.unzip();
        batches(asked).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_command_has_no_more_calls_and_bytes_than_it_may_but_one_call() {
        assert_eq!(counts(&[]), [0; 0]);
        assert_eq!(counts(&[1; MOST]), [MOST]);
        assert_eq!(counts(&[1; 2 * MOST + 1]), [MOST, MOST, 1]);
        let sizes = [BYTES / 2, BYTES / 2, 1, 2 * BYTES, 1];
        assert_eq!(counts(&sizes), [2, 1, 1, 1]);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_sent() {
        let later = Instant::now() + std::time::Duration::from_mins(1);
        let (late, _waiter) = asked(1, Instant::now());
        let (left, _) = asked(1, later);
        let (good, _other) = asked(7, later);
        let batches = batches(vec![late, left, good]);
        assert_eq!(batches.len(), 1);
        assert_eq!(
            batches[0]
                .iter()
                .map(|asked| asked.call.0)
                .collect::<Vec<_>>(),
            [7]
        );
    }
}
