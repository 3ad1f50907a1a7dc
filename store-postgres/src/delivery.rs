//! How calls get to the server, together or one by one, and what becomes of those that fail.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use cloakroom_store_api::{Result, SessionId};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    error,
    lane::{Asked, Call},
    runner::Runner,
    shared::Shared,
};

/// How long a call waits for somebody else's lock while others wait with it.
const BRIEF: Duration = Duration::from_millis(50);

/// How often a statement is sent that the server says it has not run.
const TRIES: u32 = 4;

/// A call on its way. Dropped, it lets the next write of its session go.
pub(crate) struct Held<C: Call> {
    shared: Arc<Shared>,
    /// Taken when it is answered.
    asked: Option<Asked<C>>,
    busy: Option<SessionId>,
}

impl<C: Call> Held<C> {
    pub(crate) fn new(shared: &Arc<Shared>, asked: Asked<C>) -> Self {
        let mut held = Self::alone(shared, asked);
        held.busy = held.asked().call.id().filter(|_| C::WRITES);
        held
    }

    /// One that holds up no other write of its session: who sends it may take their time.
    pub(crate) fn alone(shared: &Arc<Shared>, asked: Asked<C>) -> Self {
        Self {
            shared: Arc::clone(shared),
            busy: None,
            asked: Some(asked),
        }
    }

    /// Lets other writes of its session wait for it, as they do unless it was a lone one.
    fn occupy(&mut self) {
        let id = self.asked().call.id().filter(|_| C::WRITES);
        if let Some(id) = id
            && C::lane(&self.shared).occupy(id)
        {
            self.busy = Some(id);
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
            let runner = Runner::<C>::new(&self.shared);
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(runner.run());
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

/// Sends calls in one statement; each hears its answer.
pub(crate) async fn deliver<C: Call>(shared: &Arc<Shared>, batch: Vec<Held<C>>) {
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
pub(crate) async fn each<C: Call>(shared: &Arc<Shared>, batch: Vec<Held<C>>) {
    for mut held in batch {
        let answer = alone(shared, held.asked(), BRIEF).await;
        if matches!(&answer, Err(failed) if failed.code().as_deref() == Some(error::LOCKED)) {
            held.occupy();
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
    match in_time(until, sending).await {
        Some(answers) => answers.map_err(Failed::Sqlx),
        None => {
            shared.connections.forget_idle();
            Err(Failed::Late)
        }
    }
}

/// As `timeout_at`, but looks at the deadline first: nothing is sent after it, however late a caller
/// comes back to what it has begun.
async fn in_time<T>(until: Instant, work: impl Future<Output = T>) -> Option<T> {
    let (mut deadline, mut work) = (pin!(sleep_until(until)), pin!(work));
    poll_fn(|context| match deadline.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(context).map(Some),
    })
    .await
}

fn sorted(shared: &Shared, failed: Failed) -> cloakroom_store_api::Error {
    match failed {
        Failed::Late => error::late(shared.deadline),
        Failed::Sqlx(error) => error::sorted(error, &shared.table),
    }
}
