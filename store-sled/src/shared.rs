use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::{self, JoinHandle},
};

use cloakroom_store_api::{Error, Result, SessionId, Stamp, StoreClock, Timestamp};

use crate::{
    config::{Durability, SledStoreBuilder},
    error::{Failure, sorted},
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
    /// Held by who changes the trees.
    turn: Mutex<()>,
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
            turn: Mutex::new(()),
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

    /// Waits until it may change the trees.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a deadline without asking the writer, if it is idle and nothing waits for the disk;
    /// `None` if the writer has to be asked.
    ///
    /// A touch need not last, and changes one key. What the clock shows here is no earlier than
    /// what it showed the writer, who has its turns before and after.
    pub(crate) fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        if !self.reads_need_no_disk() {
            return Ok(None);
        }
        let Ok(_turn) = self.turn.try_lock() else {
            return Ok(None);
        };
        if self.broken().is_some() {
            return Ok(None);
        }
        let now = self.clock.now();
        let row = self.trees.row(id)?;
        let moved = row.as_ref().and_then(|row| row.held.touch(revision, now));
        if let (Some(row), Some(moved)) = (row, moved) {
            if moved.expires_at > row.held.expires_at {
                self.noted(self.trees.touch(id, &moved)).map_err(sorted)?;
            }
            return Ok(Some(moved.stamp(now)));
        }
        Ok(None)
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
    pub(crate) fn spoil(&self, id: SessionId) -> sled::Result<()> {
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
