use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cloakroom_store_api::{Clock, Result, SystemClock};

use crate::SledStore;

/// When what was stored is flushed to the operating system's disk cache.
///
/// It is about a process that is killed. On Linux sled flushes with `sync_file_range`, which
/// does not wait for the disk's own cache: neither setting holds against a power failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before each answer. Calls that wait at the same time share one flush.
    #[default]
    Always,
    /// In the background, this often, at least every millisecond. A killed process may lose as
    /// much of what it has acknowledged, sessions that were ended included.
    Every(Duration),
}

/// Opens a [`SledStore`] with other settings than [`SledStore::open`]; see
/// [`SledStore::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct SledStoreBuilder {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) deadline: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache_capacity: u64,
}

impl SledStoreBuilder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            durability: Durability::default(),
            deadline: Duration::from_secs(5),
            clock: Arc::new(SystemClock::new()),
            cache_capacity: 256 * 1024 * 1024,
        }
    }

    /// When a call is durable; [`Durability::Always`] by default.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a call waits before it fails as
    /// [`Unavailable`](cloakroom_store_api::Error::Unavailable); 5 s by default.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What the store takes the time from; the operating system's clock by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many bytes are kept in memory; 256 MiB by default.
    ///
    /// A quarter of it is for the sessions that were used last, ready to be handed out: about
    /// 100,000 small ones by default. The rest is for sled's pages. Loads of those sessions are
    /// answered on the caller's thread, and so are all others while everything stored certainly
    /// fits sled's part: about 140,000 small sessions by default, and none over 14 KB. Beyond that
    /// they may have to read the disk, and go through
    /// [`spawn_blocking`](tokio::task::spawn_blocking) until the folder is opened again.
    pub const fn cache_capacity(mut self, bytes: u64) -> Self {
        self.cache_capacity = bytes;
        self
    }

    /// The part of it that is for sessions, and sled's.
    pub(crate) fn session_cache(&self) -> u64 {
        self.cache_capacity / 4
    }

    pub(crate) fn tree_cache(&self) -> u64 {
        self.cache_capacity - self.session_cache()
    }

    /// Opens the folder, and creates it if there is none. It blocks, and starts the store's
    /// threads.
    ///
    /// # Errors
    ///
    /// As [`SledStore::open`].
    pub fn open(self) -> Result<SledStore> {
        SledStore::start(self)
    }
}
