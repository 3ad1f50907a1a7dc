//! The tasks that send what waits.
//!
//! A call starts one when it finds too few; it ends when nothing waits. There is no timer: a
//! lone call goes out at once, sent by its own caller, and calls gather while statements are on
//! their way.

use std::{marker::PhantomData, sync::Arc};

use cloakroom_store_api::Result;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::yield_now,
    time::{Instant, timeout_at},
};

use crate::{
    delivery::{Held, deliver},
    error,
    lane::{Added, Asked, Call},
    lone::Relay,
    shared::Shared,
};

/// Sends a call with others of its kind, and waits for its answer, at most until the deadline.
pub(crate) async fn ask<C: Call>(shared: &Arc<Shared>, call: C) -> Result<C::Answer> {
    ask_until(shared, call, Instant::now() + shared.deadline).await
}

/// The same for a call whose deadline began before, with another one.
pub(crate) async fn ask_until<C: Call>(
    shared: &Arc<Shared>,
    call: C,
    until: Instant,
) -> Result<C::Answer> {
    let (reply, answer) = oneshot::channel();
    let asked = Asked { call, reply, until };
    let sent_alone = match C::lane(shared).add(asked, &shared.lone) {
        Added::Waits => None,
        Added::RunnerWanted => {
            tokio::spawn(Runner::<C>::new(shared).run());
            None
        }
        Added::Alone(asked, permit) => Some(send_alone(shared, asked, permit)),
    };
    let answer = async {
        if let Some(sent) = sent_alone {
            sent.await;
        }
        answer.await
    };
    match timeout_at(until, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) if Instant::now() < until => Err(error::ended()),
        // Or it was not sent, because it was late.
        Ok(Err(_)) | Err(_) => Err(error::late(shared.deadline)),
    }
}

/// Sends a call that meets no other, by whoever awaits this.
fn send_alone<C: Call>(
    shared: &Arc<Shared>,
    asked: Asked<C>,
    permit: OwnedSemaphorePermit,
) -> Relay {
    let shared = Arc::clone(shared);
    Relay::new(async move {
        deliver(&shared, vec![Held::alone(&shared, asked)]).await;
        drop(permit);
    })
}

/// Sends what waits in a lane, until nothing does. Dropped before that, it lets another start: if it
/// panics, or its runtime has ended.
pub(crate) struct Runner<C: Call> {
    shared: Arc<Shared>,
    has_ended: bool,
    calls: PhantomData<fn(C)>,
}

impl<C: Call> Runner<C> {
    /// For who was told that one is wanted.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            has_ended: false,
            calls: PhantomData,
        }
    }

    pub(crate) async fn run(mut self) {
        let shared = &self.shared;
        while let Some(batch) = C::lane(shared).next() {
            let is_shared = batch.len() > 1;
            let batch = batch.into_iter().map(|asked| Held::new(shared, asked));
            deliver(shared, batch.collect()).await;
            // Callers that were answered just now are about to ask again. They are let run first,
            // and share the next statement. A single one is not waited for: where nothing else is
            // to be done, yielding wakes another thread of the runtime, once for each of its calls.
            if is_shared {
                yield_now().await;
            }
        }
        self.has_ended = true;
    }
}

impl<C: Call> Drop for Runner<C> {
    fn drop(&mut self) {
        if !self.has_ended {
            C::lane(&self.shared).abandon();
        }
    }
}
