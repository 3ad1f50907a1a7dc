#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod cache;
mod changes;
mod config;
mod ending;
mod error;
mod ids;
mod owners;
mod reads;
mod recent;
mod row;
mod shared;
mod sweep;
#[cfg(test)]
mod tests;
mod touches;
mod trees;
mod warmth;
mod writer;

use std::{
    cmp::Reverse,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use cloakroom_store_api::{
    Age, Error, Owner, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept,
    async_trait,
};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{batch::Batch, reads::Found, row::Draft, shared::Shared, writer::Writer};

pub use crate::config::{Durability, SledStoreBuilder};

/// Keeps sessions in a folder of the application's own, through sled.
///
/// Clones are the same store. When the last is dropped, it blocks until everything is flushed
/// and the folder can be opened again.
///
/// Its calls need a Tokio runtime with time enabled.
#[derive(Clone)]
pub struct SledStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    deadline: Duration,
    shared: Arc<Shared>,
    warmer: Option<JoinHandle<()>>,
    writer: Writer,
}

impl SledStore {
    /// Opens a folder, and creates it if there is none.
    ///
    /// It blocks while sled reads its log. Call it before the application serves, or from
    /// [`spawn_blocking`].
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if another process has the folder open, or another store of this
    /// process. [`Error::Backend`] if it cannot be read and written, or holds something else.
    ///
    /// # Example
    ///
    /// ```
    /// use cloakroom_store_sled::SledStore;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("sessions");
    /// let store = SledStore::open(path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// Settings for a folder to be opened.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use cloakroom_store_sled::{Durability, SledStore};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("sessions");
    /// let store = SledStore::builder(path)
    ///     .durability(Durability::Every(Duration::from_millis(200)))
    ///     .deadline(Duration::from_secs(2))
    ///     .open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(path: impl AsRef<Path>) -> SledStoreBuilder {
        SledStoreBuilder::new(path.as_ref())
    }

    fn start(builder: SledStoreBuilder) -> Result<Self> {
        let path = builder.path.clone();
        let deadline = builder.deadline;
        let shared = Arc::new(Shared::open(builder)?);
        let writer = Writer::start(&shared).map_err(Error::unavailable)?;
        Ok(Self(Arc::new(Inner {
            path,
            deadline,
            // Without it all loads go through the blocking pool.
            warmer: shared.warm().ok(),
            writer,
            shared,
        })))
    }

    /// Makes the stored record of this session unreadable, as the conformance kit asks.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if the folder cannot be read or written.
    #[cfg(any(test, feature = "conformance"))]
    pub fn spoil(&self, id: SessionId) -> Result<()> {
        self.0.shared.spoil(id).map_err(error::sorted)
    }

    async fn find(&self, id: SessionId) -> Result<Found> {
        let shared = &self.0.shared;
        if let Some(found) = shared.recall(id)? {
            Ok(found)
        } else if shared.warmth.needs_no_disk() {
            shared.find(id)
        } else {
            self.blocking(move |shared| shared.find(id)).await
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Batch<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.0.writer.ask(self.0.deadline, decide).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.0.shared);
        match timeout(self.0.deadline, spawn_blocking(move || read(&shared))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(Error::backend(panic)),
            Err(_) => Err(writer::late(self.0.deadline)),
        }
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.begin_closing();
        if let Some(warmer) = self.warmer.take() {
            ending::wait_for(warmer);
        }
    }
}

#[async_trait]
impl SessionStore for SledStore {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        match self.find(id).await? {
            Found::Live(record) => Ok(Some(record)),
            Found::Nothing => Ok(None),
            Found::Late => self
                .ask(move |batch| batch.look(id))
                .await?
                .map(|(row, now)| row.record(id, now))
                .transpose(),
        }
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        let draft = Draft::new(record)?;
        self.ask(move |batch| batch.save(draft)).await
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        match self.0.shared.touch(id, revision) {
            Some(stamp) => Ok(Some(stamp)),
            None => self.ask(move |batch| batch.touch(id, revision)).await,
        }
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        let draft = Draft::new(record)?;
        self.ask(move |batch| batch.rotate(old, draft, age)).await
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        self.ask(move |batch| batch.expire(id)).await
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        let Ok(owner) = owner.parse::<Owner>() else {
            return Ok(Vec::new());
        };
        let found = self.ask(move |batch| batch.list(&owner)).await?;
        let mut records: Vec<_> = found
            .into_iter()
            .filter_map(|(id, (row, now))| row.record(id, now).ok())
            .collect();
        records
            .sort_by_key(|record| Reverse((record.stamp.map(|stamp| stamp.created_at), record.id)));
        Ok(records)
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        let Ok(owner) = owner.parse::<Owner>() else {
            return Ok(0);
        };
        self.ask(move |batch| batch.expire_owner(&owner, except))
            .await
    }

    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept> {
        self.ask(move |batch| batch.sweep(limit)).await
    }

    /// Counts what is stored, while others may change it. Its cost grows with the store.
    async fn stats(&self) -> Result<Stats> {
        self.blocking(Shared::stats).await
    }

    async fn ping(&self) -> Result<()> {
        self.ask(|_| Ok(())).await
    }
}
