use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::{self, JoinHandle},
};

use cloakroom_store_api::{Error, Result, StoreClock, Timestamp};

use crate::{
    config::{Durability, SledStoreBuilder},
    error::Failure,
    trees::Trees,
};

/// What the writer and the readers have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) trees: Trees,
    pub(crate) clock: StoreClock,
    durability: Durability,
    cache_capacity: u64,
    /// What the clock shows after a restart at least, in milliseconds.
    kept: AtomicI64,
    failure: OnceLock<sled::Error>,
    is_warm: AtomicBool,
    fits_cache: AtomicBool,
    is_closing: AtomicBool,
}

impl Shared {
    pub(crate) fn open(builder: SledStoreBuilder) -> Result<Self> {
        let trees = Trees::open(&builder)?;
        let last_answer = trees.clock()?;
        let SledStoreBuilder {
            path: _,
            durability,
            deadline: _,
            clock,
            cache_capacity,
        } = builder;
        let shared = Self {
            trees,
            clock: match last_answer {
                Some(last_answer) => StoreClock::resumed(clock, last_answer),
                None => StoreClock::new(clock),
            },
            durability,
            cache_capacity,
            kept: AtomicI64::new(last_answer.map_or(i64::MIN, Timestamp::as_millis)),
            failure: OnceLock::new(),
            is_warm: AtomicBool::new(false),
            fits_cache: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        };
        shared.measure();
        Ok(shared)
    }

    /// What the clock shows after a restart at least. What died before it stays dead.
    ///
    /// No call is judged at an earlier time any more: the writer moves it on when all that it
    /// had judged before is applied.
    pub(crate) fn kept(&self) -> Timestamp {
        Timestamp::from_millis(self.kept.load(Ordering::Acquire))
    }

    /// Makes durable what is applied, this answer of the clock included.
    pub(crate) fn keep(&self, now: Timestamp) -> sled::Result<()> {
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
        self.noted(self.trees.apply(&Default::default(), now))?;
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

    /// Whether loads find all that they need in memory.
    pub(crate) fn reads_need_no_disk(&self) -> bool {
        self.is_warm.load(Ordering::Relaxed) && self.fits_cache.load(Ordering::Relaxed)
    }

    /// Finds out whether all that is stored fits sled's cache.
    ///
    /// That cache is 256 independent parts of equal size, which fill unevenly: counted on is
    /// half of it.
    pub(crate) fn measure(&self) {
        let fits = self
            .trees
            .size_on_disk()
            .is_ok_and(|size| size <= self.cache_capacity / 2);
        self.fits_cache.store(fits, Ordering::Relaxed);
    }

    /// Starts the thread that reads everything once.
    pub(crate) fn warm(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(self);
        thread::Builder::new()
            .name("cloakroom-sled-warm".into())
            .spawn(move || {
                let read = shared.trees.read_all(|| shared.is_closing());
                let is_warm = matches!(read, Ok(ControlFlow::Continue(())));
                shared.is_warm.store(is_warm, Ordering::Relaxed);
            })
    }

    /// Flips a bit in what a record's checksum protects.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn spoil(&self, id: cloakroom_store_api::SessionId) -> sled::Result<()> {
        let records = &self.trees.records;
        let Some(mut row) = records.get(id.as_bytes())? else {
            return Ok(());
        };
        if let Some(last) = row.last_mut() {
            *last ^= 1;
        }
        records.insert(id.as_bytes(), row).map(drop)
    }

    /// Tells long scans to stop.
    pub(crate) fn begin_closing(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }
}
