//! Runs a behaviour over every store. PostgreSQL and Redis need servers: `scripts/with-servers`.

use std::{env, sync::Arc};

use cloakroom_store_api::SessionStore;
use cloakroom_store_memory::MemoryStore;
use cloakroom_store_postgres::{PostgresStore, TableName};
use cloakroom_store_redis::{Prefix, RedisStore};
use cloakroom_store_sled::SledStore;
use tempfile::TempDir;

/// A store that nobody else uses, chosen at run time as an application's configuration would.
#[derive(Debug)]
pub struct Fresh {
    /// The store.
    pub store: Arc<dyn SessionStore>,
    /// Removed after the store is closed.
    _folder: Option<TempDir>,
}

impl Fresh {
    /// Opens a store by the scheme of its URL: `memory`, `sled`, `postgres` or `redis`.
    ///
    /// # Panics
    ///
    /// If there is no such store, or its server is not there.
    pub async fn open(scheme: &str) -> Self {
        match scheme {
            "memory" => Self {
                store: Arc::new(MemoryStore::new()),
                _folder: None,
            },
            "sled" => {
                let folder = TempDir::new().expect("a temporary folder can be made");
                Self {
                    store: Arc::new(SledStore::open(folder.path()).expect("the folder is new")),
                    _folder: Some(folder),
                }
            }
            "postgres" => Self {
                store: Arc::new(postgres().await),
                _folder: None,
            },
            "redis" => Self {
                store: Arc::new(redis().await),
                _folder: None,
            },
            other => panic!("no store is called {other}"),
        }
    }
}

/// The URL in this variable.
fn server(variable: &str) -> String {
    env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names a server; scripts/with-servers sets it"))
}

async fn redis() -> RedisStore {
    let prefix: Prefix = format!("test-{:032x}:", fastrand::u128(..))
        .parse()
        .expect("it is short and visible");
    let builder = RedisStore::builder(&server("CLOAKROOM_TEST_REDIS_URL")).prefix(prefix);
    builder.connect().await.expect("the server answers")
}

async fn postgres() -> PostgresStore {
    let url = server("CLOAKROOM_TEST_POSTGRES_URL");
    let table: TableName = format!("test_{:032x}", fastrand::u128(..))
        .parse()
        .expect("letters, digits and an underscore are a table's name");
    let builder = PostgresStore::builder(&url).table(table);
    let store = builder.connect().await.expect("the server answers");
    store.migrate().await.expect("the table can be made");
    store
}

/// Makes each function a test on each store: `on_every_store!(one_thing, another)`.
///
/// A function is async and takes the store, as `Arc<dyn SessionStore>`. It runs beside a second
/// thread, so that what it spawns races.
#[macro_export]
macro_rules! on_every_store {
    ($($test:ident),+ $(,)?) => {
        $crate::on_store!(memory: $($test),+);
        $crate::on_store!(sled: $($test),+);
        $crate::on_store!(postgres: $($test),+);
        $crate::on_store!(redis: $($test),+);
    };
}

/// Makes each function a test on one store.
#[macro_export]
macro_rules! on_store {
    ($scheme:ident: $($test:ident),+) => {
        mod $scheme {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let fresh = $crate::Fresh::open(stringify!($scheme)).await;
                    super::$test(fresh.store.clone()).await;
                }
            )+
        }
    };
}
