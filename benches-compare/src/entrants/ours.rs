//! Ours, whatever the backend.

use anyhow::{Context, Result, bail};
use cloakroom::store::{Record, Saved, SessionStore};
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
        let records = records.await?.into_iter().map(Mutex::new).collect();
        Ok(Self { store, records })
    }
}

async fn stored(store: &impl SessionStore, record: Record) -> Result<Record> {
    match store.save(&record).await? {
        Saved::Stored(stamp) => Ok(record.stored(stamp)),
        refused => bail!("{refused:?}"),
    }
}

impl<S: SessionStore + Clone> Entrant for Ours<S> {
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

    async fn create(&self) -> Result<()> {
        let record = Size::Small.record(&format!("{:x}", fastrand::u128(..)));
        stored(&self.store, record).await.map(drop)
    }
}
