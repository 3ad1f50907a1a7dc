//! The stores to measure.

use std::{env, fmt, sync::Arc};

use cloakroom::{MemoryStore, SledStore, store::SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_store_redis::RedisStore;
use tempfile::TempDir;

/// A store in its default settings, empty at first.
pub struct Backend {
    /// As it stands in the reports.
    pub name: &'static str,
    /// The store.
    pub store: Arc<dyn SessionStore>,
    place: Place,
}

/// What a store leaves behind unless it is removed.
enum Place {
    Process,
    Folder(TempDir),
    Tables(PostgresStore),
    Keys(RedisStore),
}

impl Backend {
    /// Removes what the store has kept: the server may be somebody's own.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    pub async fn remove(self) {
        let Self {
            name: _,
            store,
            place,
        } = self;
        drop(store);
        match place {
            Place::Process => {}
            Place::Folder(folder) => folder.close().expect("the folder is removed"),
            Place::Tables(store) => store.drop_tables().await.expect("the tables are dropped"),
            Place::Keys(store) => store.clear().await.expect("the keys are removed"),
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The stores that need no server, and those whose server a variable names.
///
/// # Panics
///
/// If one of them cannot be opened.
pub async fn all() -> Vec<Backend> {
    let folder = TempDir::new().expect("a temporary folder");
    let sled = SledStore::open(folder.path().join("sessions")).expect("an empty folder");
    let mut all = vec![
        Backend {
            name: "memory",
            store: Arc::new(MemoryStore::new()),
            place: Place::Process,
        },
        Backend {
            name: "sled",
            store: Arc::new(sled),
            place: Place::Folder(folder),
        },
    ];
    if let Some(url) = server("CLOAKROOM_TEST_POSTGRES_URL") {
        all.push(postgres(&url).await);
    }
    if let Some(url) = server("CLOAKROOM_TEST_REDIS_URL") {
        all.push(redis("redis", &url).await);
    }
    if let Some(url) = server("CLOAKROOM_TEST_REDIS_CLUSTER_URL") {
        all.push(redis("redis-cluster", &url).await);
    }
    all
}

fn server(variable: &str) -> Option<String> {
    let url = env::var(variable).ok();
    if url.is_none() {
        eprintln!("{variable} is not set, its store is left out; scripts/with-servers sets it");
    }
    url
}

async fn postgres(url: &str) -> Backend {
    let table = format!("benchmark_{:016x}", fastrand::u64(..));
    let store = PostgresStore::builder(url)
        .table(table.parse().expect("a table's name"))
        .connect()
        .await
        .expect("PostgreSQL");
    store.migrate().await.expect("a new table");
    Backend {
        name: "postgres",
        store: Arc::new(store.clone()),
        place: Place::Tables(store),
    }
}

async fn redis(name: &'static str, url: &str) -> Backend {
    let prefix = format!("benchmark-{:016x}:", fastrand::u64(..));
    let store = RedisStore::builder(url).prefix(prefix.parse().expect("a prefix"));
    let store = store.connect().await.expect("Redis");
    Backend {
        name,
        store: Arc::new(store.clone()),
        place: Place::Keys(store),
    }
}
