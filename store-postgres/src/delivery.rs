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

/// How long one waits that has left the others, before another one has its turn of the connection.
const TURN: Duration = Duration::from_millis(250);

/// How long each of those waits that shared a statement in which one met such a lock.
const BRIEFEST: Duration = Duration::from_millis(1);

/// How long before a deadline a wait for a lock ends at the latest, for the server to say so in time:
/// a connection that has not answered by then is given up.
const REPLY: Duration = Duration::from_millis(50);

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
    /// There was no connection: nothing was sent.
    Unconnected(sqlx::Error),
    Sqlx(sqlx::Error),
}

impl Failed {
    /// What the server itself reported: then it has done nothing.
    fn code(&self) -> Option<String> {
        match self {
            Self::Late => None,
            Self::Unconnected(error) | Self::Sqlx(error) => error::code(error),
        }
    }

    fn is_locked(&self) -> bool {
        self.code().as_deref() == Some(error::LOCKED)
    }
}

/// Sends calls in one statement; each hears its answer.
pub(crate) async fn deliver<C: Call>(shared: &Arc<Shared>, batch: Vec<Held<C>>) {
    if let [_] = &batch[..] {
        return each(shared, batch, BRIEF).await;
    }
    let asked: Vec<_> = batch.iter().map(Held::asked).collect();
    match persist(shared, &asked, BRIEF).await {
        Ok(answers) => {
            for (held, answer) in batch.into_iter().zip(answers) {
                held.answer(answer);
            }
        }
        Err(failed) if is_perhaps_of_one::<C>(&failed) => {
            let lock = if failed.is_locked() { BRIEFEST } else { BRIEF };
            each(shared, batch, lock).await;
        }
        Err(Failed::Late) => {
            for held in batch {
                held.answer(Err(error::late(shared.deadline)));
            }
        }
        Err(Failed::Unconnected(error) | Failed::Sqlx(error)) => {
            // One error, many who are told: each hears it in words.
            let error = Arc::new(error);
            for held in batch {
                held.answer(Err(error::shared(&error)));
            }
        }
    }
}

/// One by one: who failed alone is told so, and who waits for a lock holds up nobody else.
async fn each<C: Call>(shared: &Arc<Shared>, batch: Vec<Held<C>>, lock: Duration) {
    for mut held in batch {
        let answer = alone(shared, held.asked(), lock).await;
        if answer.as_ref().is_err_and(Failed::is_locked) {
            held.occupy();
            tokio::spawn(wait_for_lock(held));
        } else {
            held.answer(answer.unwrap_or_else(|failed| Err(sorted(shared, failed))));
        }
    }
}

/// Waits for the lock outside the lane, on one of the connections that others do not need, which
/// all that wait so have in turn.
async fn wait_for_lock<C: Call>(held: Held<C>) {
    let shared = Arc::clone(&held.shared);
    let answer = loop {
        let asked = held.asked();
        let place = timeout_at(asked.until, shared.patience.acquire()).await;
        let Ok(_place) = place else {
            break Err(Failed::Late);
        };
        let answer = alone(&shared, asked, TURN).await;
        let is_last = asked.until <= Instant::now() + 2 * REPLY;
        if is_last || !answer.as_ref().is_err_and(Failed::is_locked) {
            break answer;
        }
    };
    held.answer(answer.unwrap_or_else(|failed| Err(sorted(&shared, failed))));
}

/// Sends one call.
async fn alone<C: Call>(
    shared: &Shared,
    asked: &Asked<C>,
    lock: Duration,
) -> Result<Result<C::Answer>, Failed> {
    let mut answers = persist(shared, &[asked], lock).await?;
    answers.pop().ok_or(Failed::Sqlx(sqlx::Error::RowNotFound))
}

/// Sends a statement, again if it was not run, or if it only reads.
async fn persist<C: Call>(
    shared: &Shared,
    asked: &[&Asked<C>],
    lock: Duration,
) -> Result<Vec<Result<C::Answer>>, Failed> {
    let mut tries = 1;
    loop {
        match attempt(shared, asked, lock).await {
            Err(failed) if tries < TRIES && is_worth_another_try::<C>(&failed) => tries += 1,
            outcome => return outcome,
        }
    }
}

fn is_worth_another_try<C: Call>(failed: &Failed) -> bool {
    match (failed, failed.code()) {
        (_, Some(code)) => error::is_collision(&code) || error::is_connections_own(&code),
        (Failed::Unconnected(error), None) => error::is_about_the_way(error),
        (Failed::Sqlx(error), None) => !C::WRITES && error::is_about_the_way(error),
        (Failed::Late, None) => false,
    }
}

/// Whether a batch may have failed for what one of its calls is about, so that each has to hear
/// for itself. It has not where there was no connection, or it was lost.
fn is_perhaps_of_one<C: Call>(failed: &Failed) -> bool {
    match failed {
        Failed::Late | Failed::Unconnected(_) => false,
        Failed::Sqlx(error) if error::code(error).is_some() => !error::is_lost(error),
        Failed::Sqlx(error) => !C::WRITES && !error::is_about_the_way(error),
    }
}

/// Sends a statement for those who are not late by then.
async fn attempt<C: Call>(
    shared: &Shared,
    asked: &[&Asked<C>],
    lock: Duration,
) -> Result<Vec<Result<C::Answer>>, Failed> {
    let until = asked.iter().map(|asked| asked.until).max();
    let until = until.unwrap_or_else(Instant::now);
    let mut is_sent = false;
    let sending = async {
        let connection = shared.connections.take().await;
        let mut connection = connection.map_err(Failed::Unconnected)?;
        let now = Instant::now();
        let timely = asked.iter().filter(|asked| asked.until > now);
        let calls: Vec<_> = timely.map(|asked| &asked.call).collect();
        if calls.is_empty() {
            connection.put_back(&Ok(()));
            return Err(Failed::Late);
        }
        let left = until.saturating_duration_since(now);
        let lock = lock.min(left.saturating_sub(REPLY.max(left / 10)));
        is_sent = true;
        let answers = C::run(&calls, lock, &shared.statements, &mut connection).await;
        connection.put_back(&answers);
        let answers = answers.map_err(Failed::Sqlx)?;
        if calls.len() == asked.len() {
            return Ok(answers);
        }
        let mut answers = answers.into_iter();
        let answers = asked.iter().map_while(|asked| match asked.until > now {
            true => answers.next(),
            false => Some(Err(error::late(shared.deadline))),
        });
        Ok(answers.collect())
    };
    match in_time(until, sending).await {
        Some(answers) => answers,
        None => {
            if is_sent {
                shared.connections.forget_idle();
            }
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
        Failed::Unconnected(error) | Failed::Sqlx(error) => error::sorted(error, &shared.table),
    }
}
