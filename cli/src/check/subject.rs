use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use cloakroom_store_api::{SessionId, conformance::Subject};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_store_redis::RedisStore;
use cloakroom_store_sled::SledStore;

use crate::{
    store::{DEADLINE, Keys, Server},
    trial::{STORES, trial_keys, trial_server},
};

/// A table for each store.
pub(crate) struct Postgres {
    server: Server,
    tag: String,
    next: AtomicUsize,
}

impl Postgres {
    pub(crate) fn new(server: Server, tag: &str) -> Self {
        Self {
            server,
            tag: tag.to_owned(),
            next: AtomicUsize::new(0),
        }
    }

    async fn connect(server: &Server) -> PostgresStore {
        let connected = server.connect(DEADLINE).await;
        connected.unwrap_or_else(|failure| panic!("{failure}"))
    }
}

impl Subject for Postgres {
    type Store = PostgresStore;

    async fn store(&self) -> PostgresStore {
        let server = trial_server(&self.server, &self.tag, next(&self.next));
        let store = Self::connect(&server).await;
        let migrated = store.migrate().await;
        migrated.unwrap_or_else(|error| panic!("{}", server.failure(&error)));
        store
    }

    async fn node(&self, store: &PostgresStore) -> PostgresStore {
        Self::connect(&Server {
            url: self.server.url.clone(),
            table: store.table().clone(),
        })
        .await
    }

    async fn spoil(&self, store: &PostgresStore, id: SessionId) {
        let spoiled = store.spoil(id).await;
        spoiled.unwrap_or_else(|error| panic!("{}", self.server.failure(&error)));
    }

    async fn due(&self, store: &PostgresStore) {
        let made = store.make_due().await;
        made.unwrap_or_else(|error| panic!("{}", self.server.failure(&error)));
    }
}

/// A prefix for each store.
pub(crate) struct Redis {
    keys: Keys,
    tag: String,
    next: AtomicUsize,
}

impl Redis {
    pub(crate) fn new(keys: Keys, tag: &str) -> Self {
        Self {
            keys,
            tag: tag.to_owned(),
            next: AtomicUsize::new(0),
        }
    }

    async fn connect(keys: &Keys) -> RedisStore {
        let connected = keys.connect(DEADLINE).await;
        connected.unwrap_or_else(|failure| panic!("{failure}"))
    }
}

impl Subject for Redis {
    type Store = RedisStore;

    async fn store(&self) -> RedisStore {
        Self::connect(&trial_keys(&self.keys, &self.tag, next(&self.next))).await
    }

    async fn node(&self, store: &RedisStore) -> RedisStore {
        Self::connect(&Keys {
            url: self.keys.url.clone(),
            prefix: store.prefix().clone(),
        })
        .await
    }

    async fn spoil(&self, store: &RedisStore, id: SessionId) {
        let spoiled = store.spoil(id).await;
        spoiled.unwrap_or_else(|error| panic!("{}", self.keys.failure(&error)));
    }
}

/// A folder for each store.
pub(crate) struct Sled {
    folder: PathBuf,
    next: AtomicUsize,
}

impl Sled {
    pub(crate) fn new(tag: &str) -> Self {
        Self {
            folder: tag.into(),
            next: AtomicUsize::new(0),
        }
    }
}

impl Subject for Sled {
    type Store = SledStore;

    async fn store(&self) -> SledStore {
        let folder = self.folder.join(next(&self.next).to_string());
        SledStore::open(folder).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// There is one process; it has other handles.
    async fn node(&self, store: &SledStore) -> SledStore {
        store.clone()
    }

    async fn spoil(&self, store: &SledStore, id: SessionId) {
        store.spoil(id).unwrap_or_else(|error| panic!("{error:?}"));
    }
}

fn next(next: &AtomicUsize) -> usize {
    let next = next.fetch_add(1, Ordering::Relaxed);
    assert!(next < STORES, "a trial has {STORES} stores at most");
    next
}
