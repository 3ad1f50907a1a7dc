//! The stores to measure.

use std::{env, fmt, sync::Arc};

use cloakroom::{MemoryStore, SledStore, store::SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_store_redis::RedisStore;
use tempfile::TempDir;

/// A store in its default settings, empty at first.
#[derive(Clone)]
pub struct Backend {
    /// As it stands in the reports.
    pub name: &'static str,
    /// The store.
    pub store: Arc<dyn SessionStore>,
    /// Removed with the last handle.
    _folder: Option<Arc<TempDir>>,
}

impl Backend {
    fn new(name: &'static str, store: impl SessionStore) -> Self {
        Self {
            name,
            store: Arc::new(store),
            _folder: None,
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
        Backend::new("memory", MemoryStore::new()),
        Backend {
            _folder: Some(Arc::new(folder)),
            ..Backend::new("sled", sled)
        },
    ];
    if let Some(url) = server("CLOAKROOM_TEST_POSTGRES_URL") {
        all.push(Backend::new("postgres", postgres(&url).await));
    }
    if let Some(url) = server("CLOAKROOM_TEST_REDIS_URL") {
        all.push(Backend::new("redis", redis(&url).await));
    }
    if let Some(url) = server("CLOAKROOM_TEST_REDIS_CLUSTER_URL") {
        all.push(Backend::new("redis-cluster", redis(&url).await));
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

async fn postgres(url: &str) -> PostgresStore {
    let table = format!("benchmark_{:016x}", fastrand::u64(..));
    let store = PostgresStore::builder(url)
        .table(table.parse().expect("a table's name"))
        .connect()
        .await
        .expect("PostgreSQL");
    store.migrate().await.expect("a new table");
    store
}

async fn redis(url: &str) -> RedisStore {
    let prefix = format!("benchmark-{:016x}:", fastrand::u64(..));
    let store = RedisStore::builder(url).prefix(prefix.parse().expect("a prefix"));
    store.connect().await.expect("Redis")
}
