//! The tasks that send what waits.
//!
//! A call starts one when it finds too few; it ends when nothing waits. There is no timer: a
//! lone call goes out at once, sent by its own caller, and calls gather while statements are on
//! their way.

use std::{sync::Arc, time::Duration};

use cloakroom_store_api::{Result, SessionId};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::yield_now,
    time::{Instant, timeout_at},
};

use crate::{
    error,
    lane::{Added, Asked, Call},
    lone::ToItsEnd,
    shared::Shared,
};

/// How long a call waits for somebody else's lock while others wait with it.
const BRIEF: Duration = Duration::from_millis(50);

/// How often a statement is sent that the server says it has not run.
const TRIES: u32 = 4;

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
    let mut lone = None;
    match C::lane(shared).add(asked, &shared.lone) {
        Added::Waits => {}
        Added::RunnerWanted => drop(tokio::spawn(run::<C>(Arc::clone(shared)))),
        Added::Alone(asked, permit) => {
            let shared = Arc::clone(shared);
            lone = Some(ToItsEnd::new(async move {
                each(&shared, vec![Held::alone(&shared, asked)]).await;
                drop(permit);
            }));
        }
    }
    let answer = async {
        if let Some(lone) = lone {
            lone.await;
        }
        answer.await
    };
    match timeout_at(until, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(error::ended()),
        Err(_) => Err(error::late(shared.deadline)),
    }
}

async fn run<C: Call>(shared: Arc<Shared>) {
    let lane = C::lane(&shared);
    let running = lane.running();
    while let Some(batch) = lane.next() {
        let is_shared = batch.len() > 1;
        let batch = batch.into_iter().map(|asked| Held::new(&shared, asked));
        deliver(&shared, batch.collect()).await;
        // Callers that were answered just now are about to ask again. They are let run first,
        // and share the next statement. A lone one is not waited for: where nothing else is to
        // be done, yielding wakes another thread of the runtime, once for each of its calls.
        if is_shared {
            yield_now().await;
        }
    }
    running.end();
}

/// A call on its way. Dropped, it lets the next write of its session go.
struct Held<C: Call> {
    shared: Arc<Shared>,
    /// Taken when it is answered.
    asked: Option<Asked<C>>,
    busy: Option<SessionId>,
}

impl<C: Call> Held<C> {
    fn new(shared: &Arc<Shared>, asked: Asked<C>) -> Self {
        let mut held = Self::alone(shared, asked);
        held.busy = held.asked().call.id().filter(|_| C::WRITES);
        held
    }

    /// One that holds up no other write of its session: who sends it may take their time.
    fn alone(shared: &Arc<Shared>, asked: Asked<C>) -> Self {
        Self {
            shared: Arc::clone(shared),
            busy: None,
            asked: Some(asked),
        }
    }

    fn asked(&self) -> &Asked<C> {
        self.asked.as_ref().expect("it is not answered yet")
    }

    fn answer(mut self, answer: Result<C::Answer>) {
        // First: who is answered may ask again at once.
        self.release();
        if let Some(asked) = self.asked.take() {
            // Nobody may wait any more.
            let _ = asked.reply.send(answer);
        }
    }

    fn release(&mut self) {
        let Some(id) = self.busy.take() else { return };
        if C::lane(&self.shared).release(id) {
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(run::<C>(Arc::clone(&self.shared)))),
                Err(_) => C::lane(&self.shared).abandon(),
            }
        }
    }
}

impl<C: Call> Drop for Held<C> {
    fn drop(&mut self) {
        self.release();
    }
}

/// Why there is no answer.
enum Failed {
    Late,
    Sqlx(sqlx::Error),
}

impl Failed {
    /// What the server itself reported: then it has done nothing.
    fn code(&self) -> Option<String> {
        match self {
            Self::Late => None,
            Self::Sqlx(error) => error::code(error),
        }
    }
}

async fn deliver<C: Call>(shared: &Arc<Shared>, batch: Vec<Held<C>>) {
    if let [_] = &batch[..] {
        return each(shared, batch).await;
    }
    let calls: Vec<_> = batch.iter().map(|held| &held.asked().call).collect();
    let until = batch.iter().map(|held| held.asked().until).max();
    let until = until.unwrap_or_else(Instant::now);
    match persist(shared, &calls, BRIEF, until).await {
        Ok(answers) => {
            for (held, answer) in batch.into_iter().zip(answers) {
                held.answer(answer);
            }
        }
        Err(failed) if is_perhaps_of_one::<C>(&failed) => each(shared, batch).await,
        Err(Failed::Late) => {
            for held in batch {
                held.answer(Err(error::late(shared.deadline)));
            }
        }
        Err(Failed::Sqlx(error)) => {
            // One error, many who are told: each hears it in words.
            let error = Arc::new(error);
            for held in batch {
                held.answer(Err(error::shared(&error)));
            }
        }
    }
}

/// One by one: who failed alone is told so, and who waits for a lock holds up nobody else.
async fn each<C: Call>(shared: &Arc<Shared>, batch: Vec<Held<C>>) {
    for held in batch {
        let answer = alone(shared, held.asked(), BRIEF).await;
        if matches!(&answer, Err(failed) if failed.code().as_deref() == Some(error::LOCKED)) {
            tokio::spawn(wait_for_lock(held));
        } else {
            held.answer(answer.unwrap_or_else(|failed| Err(sorted(shared, failed))));
        }
    }
}

/// Waits for the lock outside the lane, on one of the connections that others do not need.
async fn wait_for_lock<C: Call>(held: Held<C>) {
    let shared = Arc::clone(&held.shared);
    let asked = held.asked();
    let place = timeout_at(asked.until, shared.patience.acquire()).await;
    let lock = asked.until.saturating_duration_since(Instant::now());
    let answer = match place {
        Ok(_) => alone(&shared, asked, lock).await,
        Err(_) => Err(Failed::Late),
    };
    held.answer(answer.unwrap_or_else(|failed| Err(sorted(&shared, failed))));
}

/// Sends one call.
async fn alone<C: Call>(
    shared: &Shared,
    asked: &Asked<C>,
    lock: Duration,
) -> Result<Result<C::Answer>, Failed> {
    let mut answers = persist(shared, &[&asked.call], lock, asked.until).await?;
    answers.pop().ok_or(Failed::Sqlx(sqlx::Error::RowNotFound))
}

/// Sends a statement, again if the server says that it was not run, or if it only reads.
async fn persist<C: Call>(
    shared: &Shared,
    calls: &[&C],
    lock: Duration,
    until: Instant,
) -> Result<Vec<Result<C::Answer>>, Failed> {
    let mut tries = 1;
    loop {
        match attempt(shared, calls, lock, until).await {
            Err(failed) if tries < TRIES && is_worth_another_try::<C>(&failed) => tries += 1,
            outcome => return outcome,
        }
    }
}

fn is_worth_another_try<C: Call>(failed: &Failed) -> bool {
    match (failed, failed.code()) {
        (_, Some(code)) => error::is_collision(&code) || error::is_connections_own(&code),
        (Failed::Sqlx(error), None) => !C::WRITES && error::is_about_the_way(error),
        (Failed::Late, None) => false,
    }
}

/// Whether a batch may have failed for what one of its calls is about, so that each has to hear
/// for itself. It has not where the connection was lost.
fn is_perhaps_of_one<C: Call>(failed: &Failed) -> bool {
    match failed {
        Failed::Late => false,
        Failed::Sqlx(error) if error::code(error).is_some() => !error::is_lost(error),
        Failed::Sqlx(error) => !C::WRITES && !error::is_about_the_way(error),
    }
}

async fn attempt<C: Call>(
    shared: &Shared,
    calls: &[&C],
    lock: Duration,
    until: Instant,
) -> Result<Vec<Result<C::Answer>>, Failed> {
    let sending = async {
        let mut connection = shared.connections.take().await?;
        let answers = C::run(calls, lock, &shared.statements, &mut connection).await;
        connection.put_back(&answers);
        answers
    };
    match timeout_at(until, sending).await {
        Ok(answers) => answers.map_err(Failed::Sqlx),
        Err(_) => {
            shared.connections.forget_idle();
            Err(Failed::Late)
        }
    }
}

fn sorted(shared: &Shared, failed: Failed) -> cloakroom_store_api::Error {
    match failed {
        Failed::Late => error::late(shared.deadline),
        Failed::Sqlx(error) => error::sorted(error, &shared.table),
    }
}
