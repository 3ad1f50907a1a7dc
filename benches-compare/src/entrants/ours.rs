//! Ours, whatever the backend.

use anyhow::{Context, Result, bail};
use cloakroom::store::{Record, Saved, SessionId, SessionStore};
use cloakroom_benches::sample::Size;
use parking_lot::Mutex;

use crate::{entrants::sessions, measure::Entrant};

pub struct Ours<S> {
    store: S,
    records: Vec<Mutex<Record>>,
}

impl<S: SessionStore + Clone> Ours<S> {
    pub async fn new(store: S) -> Result<Self> {
        let records = sessions(|| {
            let store = store.clone();
            async move {
                stored(
                    &store,
                    Size::Small.record(&format!("{:x}", fastrand::u128(..))),
                )
                .await
            }
        });
        let records = records.await?;
        Ok(Self::of(store, records))
    }

    /// Sessions that the store has already.
    pub async fn over(store: S, ids: &[SessionId]) -> Result<Self> {
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            records.push(store.load(*id).await?.context("it is live")?);
        }
        Ok(Self::of(store, records))
    }

    fn of(store: S, records: Vec<Record>) -> Self {
        let records = records.into_iter().map(Mutex::new).collect();
        Self { store, records }
    }
}

/// Stores so many sessions more, five to an owner or of nobody.
pub async fn fill<S: SessionStore + Clone>(
    store: &S,
    sessions: usize,
    owned: bool,
) -> Result<Vec<SessionId>> {
    let group = fastrand::u64(..);
    let each = sessions.div_ceil(64);
    let tasks: Vec<_> = (0..64)
        .map(|part| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for number in part * each..((part + 1) * each).min(sessions) {
                    let record = match owned {
                        true => Size::Small.record(&format!("{group:016x}-{}", number / 5)),
                        false => nobodys(),
                    };
                    ids.push(stored(&store, record).await?.id);
                }
                anyhow::Ok(ids)
            })
        })
        .collect();
    let mut ids = Vec::with_capacity(sessions);
    for task in tasks {
        ids.extend(task.await??);
    }
    Ok(ids)
}

/// A session of nobody, never stored.
pub fn nobodys() -> Record {
    Record {
        owner: None,
        ..Size::Small.record("nobody")
    }
}

pub async fn stored(store: &impl SessionStore, record: Record) -> Result<Record> {
    match store.save(&record).await? {
        Saved::Stored(stamp) => Ok(record.stored(stamp)),
        refused => bail!("{refused:?}"),
    }
}

impl<S: SessionStore + Clone> Entrant for Ours<S> {
    fn sessions(&self) -> usize {
        self.records.len()
    }

    async fn load(&self, session: usize) -> Result<()> {
        let id = self.records[session].lock().id;
        self.store.load(id).await?.context("it is live").map(drop)
    }

    async fn save(&self, session: usize) -> Result<()> {
        let record = self.records[session].lock().clone();
        let saved = stored(&self.store, record).await?;
        *self.records[session].lock() = saved;
        Ok(())
    }

    async fn touch(&self, session: usize) -> Result<()> {
        let (id, revision) = {
            let record = self.records[session].lock();
            (record.id, record.revision)
        };
        let touched = self.store.touch(id, revision).await?;
        touched.context("it is live").map(drop)
    }

    async fn create(&self) -> Result<()> {
        let record = Size::Small.record(&format!("{:x}", fastrand::u128(..)));
        stored(&self.store, record).await.map(drop)
    }
}
