use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::{self, JoinHandle},
};

use cloakroom_store_api::{Error, Result, SessionId, Stamp, StoreClock, Timestamp};

use crate::{
    cache::{Cache, Outcomes, SHARDS},
    changes::Changes,
    config::{Durability, SledStoreBuilder},
    error::Failure,
    row::Row,
    trees::Trees,
    warmth::Warmth,
};

/// What the writer and the readers have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) trees: Trees,
    pub(crate) cache: Cache,
    pub(crate) clock: StoreClock,
    pub(crate) warmth: Warmth,
    durability: Durability,
    /// What the clock shows after a restart at least, in milliseconds.
    kept: AtomicI64,
    failure: OnceLock<sled::Error>,
    is_closing: AtomicBool,
}

impl Shared {
    pub(crate) fn open(builder: SledStoreBuilder) -> Result<Self> {
        let trees = Trees::open(&builder)?;
        let last_answer = trees.clock()?;
        let cache = Cache::new(builder.session_cache());
        let warmth = Warmth::new(builder.tree_cache());
        let SledStoreBuilder {
            path: _,
            durability,
            deadline: _,
            clock,
            cache_capacity: _,
        } = builder;
        Ok(Self {
            trees,
            cache,
            warmth,
            clock: match last_answer {
                Some(last_answer) => StoreClock::resumed(clock, last_answer),
                None => StoreClock::new(clock),
            },
            durability,
            kept: AtomicI64::new(last_answer.map_or(i64::MIN, Timestamp::as_millis)),
            failure: OnceLock::new(),
            is_closing: AtomicBool::new(false),
        })
    }

    /// What the clock shows after a restart at least. What died before it stays dead.
    ///
    /// No call is judged at an earlier time any more: the writer moves it on when all that it
    /// had judged before is applied.
    pub(crate) fn kept(&self) -> Timestamp {
        Timestamp::from_millis(self.kept.load(Ordering::Acquire))
    }

    /// Moves a deadline without asking the writer, `None` if it has to be asked.
    ///
    /// A touch need not last: it is in memory until the writer writes it.
    pub(crate) fn touch(&self, id: SessionId, revision: u64) -> Option<Stamp> {
        if self.failure.get().is_some() {
            return None;
        }
        self.cache.touch(id, revision, || self.clock.now())
    }

    /// The row of an id, with its last deadline.
    pub(crate) fn row(&self, id: SessionId) -> Result<Option<Row>> {
        let mut row = self.trees.row(id)?;
        if let Some(row) = &mut row {
            self.cache.overlay(id, &mut row.held);
        }
        Ok(row)
    }

    /// Writes what was decided, for everybody to see.
    pub(crate) fn write(&self, changes: Changes, outcomes: Outcomes) -> sled::Result<()> {
        let ids: Vec<_> = outcomes.keys().copied().collect();
        self.cache.publish(outcomes, changes.is_whole());
        let grown = self.noted(changes.apply(&self.trees))?;
        self.warmth.grow(&grown);
        self.cache.written(&ids);
        Ok(())
    }

    /// Makes durable what is applied, and this answer of the clock.
    pub(crate) fn keep(&self, now: Timestamp) -> sled::Result<()> {
        self.noted(self.trees.set_clock(now))?;
        if self.durability == Durability::Always {
            self.noted(self.trees.flush())?;
        }
        self.kept.fetch_max(now.as_millis(), Ordering::Release);
        Ok(())
    }

    /// Stores what is left to store before the folder is closed.
    pub(crate) fn close(&self) -> sled::Result<()> {
        let now = self.clock.now();
        self.check()?;
        for shard in 0..SHARDS {
            self.write_touches(shard)?;
        }
        self.noted(self.trees.set_clock(now))?;
        self.noted(self.trees.flush())
    }

    /// Remembers a failed write: what it left in memory may differ from what is on disk, so
    /// nothing is answered after it.
    pub(crate) fn noted<T>(&self, written: sled::Result<T>) -> sled::Result<T> {
        written.inspect_err(|error| drop(self.failure.set(error.clone())))
    }

    pub(crate) fn check(&self) -> sled::Result<()> {
        self.failure.get().cloned().map_or(Ok(()), Err)
    }

    /// The error of calls after a failed write.
    pub(crate) fn broken(&self) -> Option<Error> {
        let failure = self.failure.get()?;
        Some(Error::backend(Failure::Broken(failure.clone())))
    }

    /// Starts the thread that reads everything once.
    pub(crate) fn warm(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(self);
        thread::Builder::new()
            .name("cloakroom-sled-warm".into())
            .spawn(move || {
                // What fails here fails in a call that can say so.
                let _ = shared.warmth.warm(&shared.trees, || shared.is_closing());
            })
    }

    /// Flips a bit in what a record's checksum protects.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn spoil(&self, id: SessionId) -> sled::Result<()> {
        let records = &self.trees.records;
        let Some(mut row) = records.get(id.as_bytes())? else {
            return Ok(());
        };
        if let Some(last) = row.last_mut() {
            *last ^= 1;
        }
        records.insert(id.as_bytes(), row)?;
        self.cache.forget(id);
        Ok(())
    }

    /// Tells long scans to stop.
    pub(crate) fn begin_closing(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }
}
