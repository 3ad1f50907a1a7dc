use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cloakroom_store_api::{
    Age, Data, Error, Lifetime, Record, Result as StoreResult, Saved, SessionToken,
};
use hdrhistogram::Histogram;
use tokio::{select, task::JoinSet};

use super::mix::{Mix, Operation};
use crate::{
    args::BenchArgs,
    exit::{Failure, causes},
    signals::Stop,
    store::Store,
};

/// How long calls of one kind took, in microseconds.
pub(crate) struct Measured {
    pub(crate) operation: Operation,
    pub(crate) times: Histogram<u64>,
    pub(crate) errors: u64,
}

/// Runs the callers for as long as is asked; each has sessions of its own, so none conflicts.
pub(crate) async fn run(
    args: &BenchArgs,
    store: &Store,
    stop: &mut Stop,
) -> Result<(Vec<Measured>, Duration), Failure> {
    let (mut creating, mut calling) = (JoinSet::new(), JoinSet::new());
    let measured = select! {
        biased;
        () = stop.asked() => Err(Failure::stopped()),
        measured = measure(args, store, &mut creating, &mut calling) => measured,
    };
    // Until then they may use the store.
    creating.shutdown().await;
    calling.shutdown().await;
    measured
}

async fn measure(
    args: &BenchArgs,
    store: &Store,
    creating: &mut JoinSet<StoreResult<Caller>>,
    calling: &mut JoinSet<Vec<Measured>>,
) -> Result<(Vec<Measured>, Duration), Failure> {
    let callers = usize::from(args.concurrency.get());
    for caller in 0..callers {
        let count = args.sessions / callers + usize::from(caller < args.sessions % callers);
        let caller = Caller::new(args, store.clone());
        creating.spawn(async move { caller.stocked(count).await });
    }
    let mut ready = Vec::new();
    while let Some(caller) = creating.join_next().await {
        let caller = caller.map_err(Failure::other)?;
        ready.push(caller.map_err(|error| {
            Failure::unreachable(format_args!(
                "no sessions can be stored ({}); see that the store is well",
                causes(&error)
            ))
        })?);
    }
    let started = Instant::now();
    let until = started + args.duration;
    for caller in ready {
        calling.spawn(caller.call_until(until));
    }
    let mut all = nothing();
    while let Some(measured) = calling.join_next().await {
        add(&mut all, measured.map_err(Failure::other)?);
    }
    Ok((all, started.elapsed()))
}

struct Caller {
    store: Store,
    mix: Mix,
    data: Data,
    sessions: Vec<Record>,
}

impl Caller {
    fn new(args: &BenchArgs, store: Store) -> Self {
        let text = format!("\"{}\"", "x".repeat(usize::from(args.size)));
        Self {
            store,
            mix: args.mix.clone(),
            data: Data::new(&BTreeMap::from([("data", &*text)])).expect("one entry"),
            sessions: Vec::new(),
        }
    }

    async fn stocked(mut self, count: usize) -> StoreResult<Self> {
        while self.sessions.len() < count {
            self.create().await?;
        }
        Ok(self)
    }

    async fn call_until(mut self, until: Instant) -> Vec<Measured> {
        let mut measured = nothing();
        while Instant::now() < until {
            // What needs a session and has none makes one.
            let operation = match self.sessions.is_empty() {
                true => Operation::Create,
                false => self.mix.pick(),
            };
            let started = Instant::now();
            let called = self.call(operation).await;
            let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            let Some(found) = measured.iter_mut().find(|m| m.operation == operation) else {
                continue;
            };
            match called {
                Ok(()) => found.times.saturating_record(micros),
                Err(_) => found.errors += 1,
            }
        }
        measured
    }

    async fn call(&mut self, operation: Operation) -> StoreResult<()> {
        if operation == Operation::Create {
            return self.create().await;
        }
        let place = fastrand::usize(..self.sessions.len());
        let record = self.sessions[place].clone();
        let sessions = self.store.sessions();
        match operation {
            Operation::Create => {}
            Operation::Load => {
                sessions.load(record.id).await?.ok_or_else(lost)?;
            }
            Operation::Touch => {
                let touched = sessions.touch(record.id, record.revision).await?;
                touched.ok_or_else(lost)?;
            }
            Operation::Save => {
                let saved = sessions.save(&record).await?;
                self.sessions[place] = stored(record, saved)?;
            }
            Operation::Rotate => {
                let old = record.id;
                let record = Record {
                    id: SessionToken::generate().map_err(Error::backend)?.id(),
                    ..record
                };
                let saved = sessions.rotate(old, &record, Age::Keep).await?;
                self.sessions[place] = stored(record, saved)?;
            }
            Operation::End => {
                self.sessions.swap_remove(place);
                if !self.store.sessions().expire(record.id).await? {
                    return Err(lost());
                }
            }
        }
        Ok(())
    }

    async fn create(&mut self) -> StoreResult<()> {
        let id = SessionToken::generate().map_err(Error::backend)?.id();
        let record = Record {
            data: self.data.clone(),
            ..Record::new(id, Lifetime::BROWSER)
        };
        let saved = self.store.sessions().save(&record).await?;
        self.sessions.push(stored(record, saved)?);
        Ok(())
    }
}

fn stored(record: Record, saved: Saved) -> StoreResult<Record> {
    match saved {
        Saved::Stored(stamp) => Ok(record.stored(stamp)),
        Saved::Conflict | Saved::Gone => Err(lost()),
    }
}

/// Nobody else knows these sessions.
fn lost() -> Error {
    Error::backend("a session of this caller is not as it left it")
}

fn nothing() -> Vec<Measured> {
    let new = |operation| Measured {
        operation,
        // From a microsecond to an hour, three digits.
        times: Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are right"),
        errors: 0,
    };
    Operation::ALL.map(new).into()
}

fn add(all: &mut [Measured], measured: Vec<Measured>) {
    for (all, measured) in all.iter_mut().zip(measured) {
        all.times
            .add(measured.times)
            .expect("the bounds are the same");
        all.errors += measured.errors;
    }
}
