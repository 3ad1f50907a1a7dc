//! Calls that wait for the same statement.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::Future,
    sync::Arc,
    time::Duration,
};

use cloakroom_store_api::{Result, SessionId};
use parking_lot::Mutex;
use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};

use crate::{
    shared::Shared,
    sql::{Id, Statements},
};

/// A call on the store, of a kind that shares statements with others of its kind.
pub(crate) trait Call: Sized + Send + Sync + 'static {
    type Answer: Send + 'static;

    /// How many calls share a statement at most.
    const MOST: usize = 256;

    /// How many statements are on their way at once, beside a lone call's. With more, each carries
    /// fewer calls.
    const AT_ONCE: usize;

    /// Whether it changes the session: then a statement has at most one call for an id, and it
    /// is not sent again after it may have reached the server.
    const WRITES: bool;

    fn lane(shared: &Shared) -> &Lane<Self>;

    /// The session that it is about, if it is one.
    fn id(&self) -> Option<SessionId>;

    /// How many bytes it has for the server.
    fn size(&self) -> usize {
        0
    }

    /// Sends one statement for all calls, of which there is at least one; gives their answers in the
    /// same order.
    fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Answers<Self::Answer>> + Send;
}

/// An answer for each call, or why there is none for any.
pub(crate) type Answers<T> = sqlx::Result<Vec<Result<T>>>;

/// The calls of one kind that wait, and how many runners send them.
pub(crate) struct Lane<C: Call>(Mutex<State<C>>);

struct State<C: Call> {
    waiting: VecDeque<Asked<C>>,
    runners: usize,
    /// Sessions with a write on its way, but for a lone one.
    busy: HashSet<SessionId>,
}

/// A call, and who waits for it until when.
pub(crate) struct Asked<C: Call> {
    pub(crate) call: C,
    pub(crate) reply: oneshot::Sender<Result<C::Answer>>,
    pub(crate) until: Instant,
}

/// What becomes of a call that was added.
pub(crate) enum Added<C: Call> {
    /// It waits for those who send what waits.
    Waits,
    /// It waits, and its caller has to start one more runner.
    RunnerWanted,
    /// It does not wait: its caller has to send it.
    Alone(Asked<C>, OwnedSemaphorePermit),
}

/// A batch takes no more calls once it has this many bytes.
const BYTES: usize = 1024 * 1024;

impl<C: Call> Default for Lane<C> {
    fn default() -> Self {
        Self(Mutex::new(State {
            waiting: VecDeque::new(),
            runners: 0,
            busy: HashSet::new(),
        }))
    }
}

impl<C: Call> Lane<C> {
    /// Lets a call wait, unless it meets no other and may go alone.
    pub(crate) fn add(&self, asked: Asked<C>, lone: &Arc<Semaphore>) -> Added<C> {
        let mut state = self.0.lock();
        let is_busy = C::WRITES && asked.call.id().is_some_and(|id| state.busy.contains(&id));
        if state.runners == 0
            && state.waiting.is_empty()
            && !is_busy
            && let Ok(permit) = Arc::clone(lone).try_acquire_owned()
        {
            return Added::Alone(asked, permit);
        }
        state.waiting.push_back(asked);
        match state.runner_wanted(C::AT_ONCE) {
            true => Added::RunnerWanted,
            false => Added::Waits,
        }
    }

    /// The next calls to send; `None` ends the runner that asks.
    ///
    /// Calls that nobody waits for any more are left out, and so are all but one of the writes
    /// of a session.
    pub(crate) fn next(&self) -> Option<Vec<Asked<C>>> {
        let mut state = self.0.lock();
        let State { waiting, busy, .. } = &mut *state;
        let now = Instant::now();
        let (mut calls, mut later, mut size) = (Vec::new(), Vec::new(), 0);
        while calls.len() < C::MOST {
            let Some(asked) = waiting.pop_front() else {
                break;
            };
            if asked.reply.is_closed() || asked.until <= now {
                continue;
            }
            size += asked.call.size();
            if size > BYTES && !calls.is_empty() {
                waiting.push_front(asked);
                break;
            }
            match asked.call.id() {
                Some(id) if C::WRITES && !busy.insert(id) => later.push(asked),
                _ => calls.push(asked),
            }
        }
        for asked in later.into_iter().rev() {
            waiting.push_front(asked);
        }
        if calls.is_empty() {
            state.runners -= 1;
            return None;
        }
        Some(calls)
    }

    /// Keeps other writes of a session waiting; says whether nobody else does already.
    pub(crate) fn occupy(&self, id: SessionId) -> bool {
        self.0.lock().busy.insert(id)
    }

    /// Lets the next write of a session go. If this says so, the caller has to start a runner.
    pub(crate) fn release(&self, id: SessionId) -> bool {
        let mut state = self.0.lock();
        state.busy.remove(&id);
        state.runner_wanted(1)
    }

    /// Counts a runner out that did not come to its end, or was never started.
    pub(crate) fn abandon(&self) {
        self.0.lock().runners -= 1;
    }
}

impl<C: Call> State<C> {
    fn runner_wanted(&mut self, at_once: usize) -> bool {
        let wanted = !self.waiting.is_empty() && self.runners < at_once;
        self.runners += usize::from(wanted);
        wanted
    }
}

/// What a statement says of each session, by the id in its first column.
pub(crate) fn by_id<T>(
    rows: &[PgRow],
    read: impl Fn(&PgRow) -> sqlx::Result<T>,
) -> sqlx::Result<HashMap<SessionId, T>> {
    rows.iter()
        .map(|row| Ok((row.try_get::<Id, _>(0)?.0, read(row)?)))
        .collect()
}

/// As PostgreSQL's `lock_timeout` has it, where 0 is for ever.
pub(crate) fn timeout(lock: Duration) -> String {
    format!("{}ms", lock.as_millis().max(1))
}

#[cfg(test)]
mod tests;
