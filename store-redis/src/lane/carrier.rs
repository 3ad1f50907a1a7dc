use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    task::yield_now,
    time::{Instant, timeout},
};

use crate::{
    error::{self, About},
    lane::{Asked, Call, alone},
    link::{Link, Shared},
};

/// No more calls travel with others once they have this many bytes.
const BYTES: usize = 1024 * 1024;

/// Who is about to send what waits. Dropped before that, with its runtime, it leaves nobody
/// waiting: they hear it at once.
pub(super) struct Carrier<C: Call> {
    shared: Arc<Shared>,
    lane: fn(&Shared) -> &super::Lane<C>,
    /// From then on others may wait, for another carrier.
    has_taken: bool,
}

impl<C: Call> Carrier<C> {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            lane: C::lane,
            has_taken: false,
        }
    }

    pub(super) async fn send(mut self) {
        give_way().await;
        deliver(Arc::clone(&self.shared), self.take()).await;
    }

    fn take(&mut self) -> Vec<Asked<C>> {
        self.has_taken = true;
        (self.lane)(&self.shared).take()
    }
}

impl<C: Call> Drop for Carrier<C> {
    fn drop(&mut self) {
        if !self.has_taken {
            drop(self.take());
        }
    }
}

/// Lets those run first who are ready to, for a moment: callers that were answered just now are
/// about to ask again, and travel together.
///
/// `yield_now` comes back to its own thread, where a handler may block meanwhile. The timer comes
/// back by any.
async fn give_way() {
    let _ = timeout(MOMENT, yield_now()).await;
}

/// As short as tokio's timers are.
const MOMENT: Duration = Duration::from_millis(1);

/// Sends what has waited. Calls that nobody waits for any more are left out, and those that have
/// waited for too long hear it.
pub(super) async fn deliver<C: Call>(shared: Arc<Shared>, mut waiting: Vec<Asked<C>>) {
    let now = Instant::now();
    let is_late = |asked: &mut Asked<C>| asked.until <= now;
    for late in waiting.extract_if(.., is_late) {
        // Nobody may wait any more.
        let _ = late.reply.send(Err(error::too_late(shared.deadline)));
    }
    waiting.retain(|asked| !asked.reply.is_closed());
    while let Some(rest) = too_many(&mut waiting) {
        tokio::spawn(deliver_batch(Arc::clone(&shared), waiting));
        waiting = rest;
    }
    if !waiting.is_empty() {
        deliver_batch(shared, waiting).await;
    }
}

/// Takes off calls what they have too many bytes for, if anything.
fn too_many<C: Call>(calls: &mut Vec<Asked<C>>) -> Option<Vec<Asked<C>>> {
    let mut size = 0;
    let fits = calls.iter().take_while(|asked| {
        size += asked.call.size();
        size <= BYTES
    });
    let fit = fits.count().max(1);
    (fit < calls.len()).then(|| calls.split_off(fit))
}

async fn deliver_batch<C: Call>(shared: Arc<Shared>, batch: Vec<Asked<C>>) {
    let _way = C::lane(&shared).way(batch.len());
    let calls: Vec<_> = batch.iter().map(|asked| &asked.call).collect();
    let until = batch.iter().map(|asked| asked.until).min();
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
    use cloakroom_store_api::{Error, Result, SessionId, SessionToken};
    use redis::RedisError;
    use tokio::sync::oneshot;

    use super::*;
    use crate::lane::{Answers, Lane};

    /// A call of so many bytes.
    struct Bytes(usize);

    impl Call for Bytes {
        type Answer = ();
        const MOST: usize = 16;

        fn lane(_: &Shared) -> &Lane<Self> {
            unreachable!("nothing is sent")
        }

        fn id(&self) -> SessionId {
            SessionToken::generate().unwrap().id()
        }

        fn size(&self) -> usize {
            self.0
        }

        async fn send(_: &[&Self], _: &Link, _: &mut bool) -> Result<Answers<Self>, RedisError> {
            unreachable!("nothing is sent")
        }
    }

    type Waiter = oneshot::Receiver<Result<()>>;

    fn asked(size: usize, until: Instant) -> (Asked<Bytes>, Waiter) {
        let (reply, waiter) = oneshot::channel();
        let call = Bytes(size);
        (Asked { call, reply, until }, waiter)
    }

    #[test]
    fn calls_that_travel_together_have_no_more_bytes_than_they_may_but_one_call() {
        let until = Instant::now() + Duration::from_mins(1);
        let batched = |sizes: &[usize]| {
            let asked = sizes.iter().map(|&size| asked(size, until));
            let (mut calls, _waiters): (Vec<_>, Vec<_>) = asked.unzip();
            let mut counts = Vec::new();
            while let Some(rest) = too_many(&mut calls) {
                counts.push(calls.len());
                calls = rest;
            }
            counts.push(calls.len());
            counts
        };
        assert_eq!(batched(&[]), [0]);
        assert_eq!(batched(&[1; 16]), [16]);
        let sizes = [BYTES / 2, BYTES / 2, 1, 2 * BYTES, 1];
        assert_eq!(batched(&sizes), [2, 1, 1, 1]);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_sent() {
        let later = Instant::now() + Duration::from_mins(1);
        let (late, mut told) = asked(1, Instant::now());
        let (left, _) = asked(1, later);
        deliver(Shared::unconnected(), vec![late, left]).await;
        let told = told.try_recv().unwrap().unwrap_err();
        assert!(matches!(told, Error::Unavailable(_)), "{told:?}");
    }
}
