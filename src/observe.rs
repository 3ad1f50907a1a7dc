//! Events and metrics (M17). Ids appear only as session ids, never as tokens.

mod calls;
#[cfg_attr(not(feature = "metrics"), path = "observe/uncounted.rs")]
mod counters;
#[cfg(feature = "metrics")]
mod names;

use std::future::Future;

use tracing::{debug, error, warn};

pub(crate) use self::calls::{Operation, Outcome};
use self::counters::Started;
#[cfg(feature = "metrics")]
pub use self::names::describe_metrics;
use crate::store::{self, Record, SessionId, Stats, Swept};

/// A store call for a session, from when it begins.
pub(crate) struct Call {
    operation: Operation,
    id: SessionId,
    started: Started,
}

impl Call {
    pub(crate) fn begin(operation: Operation, id: SessionId) -> Self {
        Self {
            operation,
            id,
            started: Started::now(),
        }
    }

    /// Counts and times the call, and logs it; gives its answer back.
    pub(crate) fn ended<T>(
        self,
        answer: store::Result<T>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> store::Result<T> {
        let Self {
            operation,
            id,
            started,
        } = self;
        let outcome = answer.as_ref().map_or(Outcome::Error, outcome);
        counters::called(operation, outcome, started);
        let (operation, outcome) = (operation.name(), outcome.name());
        match &answer {
            Ok(_) => debug!(operation, outcome, session = %id, "session store"),
            // Whoever meets one says what it means.
            Err(store::Error::Corrupt { .. }) => {}
            Err(failure) => error!(
                operation,
                session = %id,
                error = failure as &dyn std::error::Error,
                "session store failed"
            ),
        }
        answer
    }
}

/// Makes one batch of a sweep, counts and times it.
pub(crate) async fn swept(
    call: impl Future<Output = store::Result<Swept>>,
) -> store::Result<Swept> {
    let answer = counted(Operation::Sweep, call).await;
    match &answer {
        Ok(swept) => {
            counters::swept(swept.removed);
            debug!(removed = swept.removed, more = swept.more, "swept sessions");
        }
        Err(failure) => warn!(
            error = failure as &dyn std::error::Error,
            "sweeping sessions failed, it is tried again"
        ),
    }
    answer
}

/// A sweep has come to its end: nothing is left.
pub(crate) fn sweep_done(removed: u64) {
    counters::sweep_done();
    debug!(removed, "sweep done");
}

/// Counts what is stored. A failure leaves the gauges as they were.
pub(crate) async fn sessions(call: impl Future<Output = store::Result<Stats>>) {
    match counted(Operation::Stats, call).await {
        Ok(stats) => counters::sessions(&stats),
        Err(failure) => warn!(
            error = &failure as &dyn std::error::Error,
            "counting sessions failed"
        ),
    }
}

/// Makes a call for no session in particular, counts and times it.
async fn counted<T>(
    operation: Operation,
    call: impl Future<Output = store::Result<T>>,
) -> store::Result<T> {
    let started = Started::now();
    let answer = call.await;
    let outcome = answer.as_ref().map_or(Outcome::Error, done);
    counters::called(operation, outcome, started);
    answer
}

pub(crate) fn hit_or_miss(found: &Option<Record>) -> Outcome {
    match found {
        Some(_) => Outcome::Hit,
        None => Outcome::Miss,
    }
}

pub(crate) fn saved(saved: &store::Saved) -> Outcome {
    match saved {
        store::Saved::Stored(_) => Outcome::Stored,
        store::Saved::Conflict => Outcome::Conflict,
        store::Saved::Gone => Outcome::Gone,
    }
}

pub(crate) fn touched(stamp: &Option<store::Stamp>) -> Outcome {
    match stamp {
        Some(_) => Outcome::Stored,
        None => Outcome::Conflict,
    }
}

pub(crate) fn ended(was_live: &bool) -> Outcome {
    match was_live {
        true => Outcome::Done,
        false => Outcome::Nothing,
    }
}

pub(crate) fn done<T>(_: &T) -> Outcome {
    Outcome::Done
}

/// A record could not be read, and counts as no session (M15).
pub(crate) fn corrupt(failure: &store::Error) {
    counters::corrupt();
    error!(
        error = failure as &dyn std::error::Error,
        "unreadable session treated as none"
    );
}

/// A handler asks for a session that no layer provides.
#[cfg(feature = "axum")]
pub(crate) fn layer_missing() {
    error!("{}", crate::Error::LayerMissing);
}

/// Changes were made after the response had left and never committed (M20).
pub(crate) fn dropped_changes(id: Option<SessionId>) {
    counters::changes_dropped();
    let session = id.map(|id| id.to_string()).unwrap_or_default();
    warn!(%session, "uncommitted session changes dropped, call commit() after the response is sent");
}

/// A session was to be remembered, or not, when its cookie could not be changed any more (M20).
pub(crate) fn late_remember() {
    warn!("remember() has no effect after the response is sent");
}

/// The store could not be asked, and the request goes on without a session (M15).
pub(crate) fn degraded() {
    counters::degraded();
    warn!("session store failed, the request goes on without its session");
}

/// What acted on a session has panicked, or what it called.
pub(crate) fn panicked(failure: &crate::Error) {
    error!(
        error = failure as &dyn std::error::Error,
        "a call on a session panicked"
    );
}

/// A handler's error becomes its response. Failures of the store, and want of a layer, were logged
/// where they were met.
#[cfg(feature = "axum")]
pub(crate) fn answered(failure: &crate::Error) {
    if !matches!(failure, crate::Error::Store(_) | crate::Error::LayerMissing) {
        error!(
            error = failure as &dyn std::error::Error,
            "a handler failed on its session"
        );
    }
}

/// The changes of a request were not stored.
pub(crate) fn failed_commit(failure: &crate::Error) {
    error!(
        error = failure as &dyn std::error::Error,
        "session changes could not be stored"
    );
}
