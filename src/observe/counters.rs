//! What is counted, by the crate `metrics`. Without it `uncounted.rs` is in this one's place.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use metrics::{IntoF64, Key, Label, Level, Metadata, counter, gauge, with_recorder};

use crate::{
    observe::{
        calls::{Operation, Outcome},
        names::{
            CHANGES_DROPPED, CORRUPT, DEGRADED, SESSIONS_EXPIRED, SESSIONS_LIVE, STORE,
            STORE_SECONDS, SWEEP_LAST_SUCCESS, SWEEP_REMOVED,
        },
    },
    store::Stats,
};

/// When a call began.
#[derive(Clone, Copy)]
pub(super) struct Started(Instant);

impl Started {
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }
}

/// Counts a call that began then, and times it.
pub(super) fn called(operation: Operation, outcome: Outcome, Started(started): Started) {
    let Metrics { seconds, calls } = &METRICS[operation as usize];
    with_recorder(|recorder| {
        recorder
            .register_histogram(seconds, &METADATA)
            .record(Since(started));
        recorder
            .register_counter(&calls[outcome as usize], &METADATA)
            .increment(1);
    });
}

pub(super) fn swept(removed: u64) {
    counter!(SWEEP_REMOVED).increment(removed);
}

pub(super) fn sweep_done() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    gauge!(SWEEP_LAST_SUCCESS).set(now.unwrap_or_default().as_secs_f64());
}

pub(super) fn sessions(stats: &Stats) {
    let Stats {
        browser,
        persistent,
        expired,
        oldest_expiry: _,
    } = stats;
    for (persistence, live) in [("browser", browser), ("persistent", persistent)] {
        gauge!(SESSIONS_LIVE, "persistence" => persistence).set(*live as f64);
    }
    gauge!(SESSIONS_EXPIRED).set(*expired as f64);
}

pub(super) fn corrupt() {
    counter!(CORRUPT).increment(1);
}

pub(super) fn changes_dropped() {
    counter!(CHANGES_DROPPED).increment(1);
}

pub(super) fn degraded() {
    counter!(DEGRADED).increment(1);
}

/// The metrics' keys of each operation, which to make with each call would cost more than the
/// counting. What is counted is not kept: the recorder may be another one by the next call.
static METRICS: LazyLock<[Metrics; Operation::ALL.len()]> =
    LazyLock::new(|| Operation::ALL.map(Metrics::of));

static METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

struct Metrics {
    seconds: Key,
    calls: [Key; Outcome::ALL.len()],
}

impl Metrics {
    fn of(operation: Operation) -> Self {
        let operation = Label::from_static_parts("operation", operation.name());
        Self {
            seconds: Key::from_parts(STORE_SECONDS, vec![operation.clone()]),
            calls: Outcome::ALL.map(|outcome| {
                let outcome = Label::from_static_parts("outcome", outcome.name());
                Key::from_parts(STORE, vec![operation.clone(), outcome])
            }),
        }
    }
}

/// The seconds since then, by a clock that is read only if somebody records them.
struct Since(Instant);

impl IntoF64 for Since {
    fn into_f64(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_and_outcome_has_its_own_keys() {
        for (at, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, at);
            let labels = |key: &Key| -> Vec<_> {
                key.labels().map(|label| label.value().to_owned()).collect()
            };
            let Metrics { seconds, calls } = &METRICS[at];
            assert_eq!(labels(seconds), [operation.name()]);
            for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
                assert_eq!(outcome as usize, at);
                assert_eq!(labels(&calls[at]), [operation.name(), outcome.name()]);
            }
        }
    }
}
