//! A record that cannot be read: the middleware goes on with no entries, and keeps what follows.

use std::num::NonZeroU32;

use actix_session::storage::{LoadError, SessionKey, SessionStore as _, UpdateError};
use cloakroom_actix_session::{ActixSessionStore, Entries};
use cloakroom_store_api::{
    Age, Error, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept, async_trait,
};
use cloakroom_store_memory::MemoryStore;
use time::Duration;

/// Cannot read what it has of nobody's.
#[derive(Clone, Debug)]
struct Spoilt(MemoryStore);

#[async_trait]
impl SessionStore for Spoilt {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        match self.0.load(id).await? {
            Some(record) if record.owner.is_none() => Err(Error::corrupt(id, "spoilt")),
            found => Ok(found),
        }
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        self.0.save(record).await
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        self.0.touch(id, revision).await
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        self.0.rotate(old, record, age).await
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        self.0.expire(id).await
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        self.0.list(owner).await
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        self.0.expire_owner(owner, except).await
    }

    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept> {
        self.0.sweep(limit).await
    }

    async fn stats(&self) -> Result<Stats> {
        self.0.stats().await
    }

    async fn ping(&self) -> Result<()> {
        self.0.ping().await
    }
}

fn copy(key: &SessionKey) -> SessionKey {
    key.as_ref().to_owned().try_into().unwrap()
}

#[tokio::test]
async fn an_update_of_an_unreadable_session_begins_anew() {
    let store = ActixSessionStore::new(Spoilt(MemoryStore::new()))
        .owner(|entries| entries.get("user")?.parse().ok());
    let old = store.save(Entries::new(), &Duration::HOUR).await.unwrap();
    let error = store.load(&old).await.unwrap_err();
    assert!(matches!(error, LoadError::Deserialization(_)), "{error:?}");

    let entries = Entries::from([("user".to_owned(), "17".to_owned())]);
    let update = || store.update(copy(&old), entries.clone(), &Duration::HOUR);
    let new = update().await.unwrap();
    assert_ne!(new, old);
    assert_eq!(store.load(&new).await.unwrap(), Some(entries.clone()));
    assert_eq!(store.load(&old).await.unwrap(), None);
    let error = update().await.unwrap_err();
    assert!(matches!(error, UpdateError::Other(_)), "{error:?}");
}
