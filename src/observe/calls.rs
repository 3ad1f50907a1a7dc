use std::{sync::LazyLock, time::Instant};

use metrics::{IntoF64, Key, Label, Level, Metadata, with_recorder};

use crate::observe::names::{STORE, STORE_SECONDS};

/// A kind of store call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Load,
    Create,
    Save,
    Touch,
    Rotate,
    End,
    EndOthers,
    List,
    Sweep,
    Stats,
}

/// How a store call has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Hit,
    Miss,
    Stored,
    Conflict,
    Gone,
    Done,
    Nothing,
    Error,
}

/// Counts a call that began then, and times it.
pub(super) fn count(operation: Operation, outcome: Outcome, started: Instant) {
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

impl Operation {
    const ALL: [Self; 10] = [
        Self::Load,
        Self::Create,
        Self::Save,
        Self::Touch,
        Self::Rotate,
        Self::End,
        Self::EndOthers,
        Self::List,
        Self::Sweep,
        Self::Stats,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::Save => "save",
            Self::Touch => "touch",
            Self::Rotate => "rotate",
            Self::End => "end",
            Self::EndOthers => "end_others",
            Self::List => "list",
            Self::Sweep => "sweep",
            Self::Stats => "stats",
        }
    }
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Hit,
        Self::Miss,
        Self::Stored,
        Self::Conflict,
        Self::Gone,
        Self::Done,
        Self::Nothing,
        Self::Error,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stored => "stored",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Done => "done",
            Self::Nothing => "nothing",
            Self::Error => "error",
        }
    }
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
