//! What holds over every store, through HTTP. Needs servers: `scripts/with-servers`.

mod dump;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/routes.rs"]
mod routes;
mod secrets;
mod sign_out;
mod visit;

use std::sync::Arc;

use cloakroom::{MemoryStore, PostgresStore, connect, store::SessionStore};

use crate::dump::Place;

/// An application of two nodes: two handles on the same sessions.
#[derive(Debug)]
struct Nodes {
    stores: [Arc<dyn SessionStore>; 2],
    place: Place,
}

impl Nodes {
    fn of_one(store: Arc<dyn SessionStore>) -> Self {
        Self {
            stores: [Arc::clone(&store), store],
            place: Place::Process,
        }
    }

    async fn memory() -> Self {
        Self::of_one(Arc::new(MemoryStore::new()))
    }

    async fn sled() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = connect(&format!("sled:{}", folder.path().display())).await;
        Self {
            place: Place::Folder(folder),
            ..Self::of_one(store.unwrap())
        }
    }

    async fn postgres() -> Self {
        let url = server("CLOAKROOM_TEST_POSTGRES_URL");
        let store = PostgresStore::connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            place: Place::Postgres(url.clone()),
            ..Self::at(&url).await
        }
    }

    async fn redis() -> Self {
        let url = server("CLOAKROOM_TEST_REDIS_URL");
        Self {
            place: Place::Redis(url.clone()),
            ..Self::at(&url).await
        }
    }

    async fn redis_cluster() -> Self {
        Self::at(&server("CLOAKROOM_TEST_REDIS_CLUSTER_URL")).await
    }

    async fn at(url: &str) -> Self {
        Self {
            stores: [connect(url).await.unwrap(), connect(url).await.unwrap()],
            place: Place::Process,
        }
    }
}

/// The URL in this variable.
fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names a server; scripts/with-servers sets it"))
}

/// Makes a test of a function for each store.
macro_rules! each_store {
    ($function:ident) => {
        crate::each_store!($function: memory, sled, postgres, redis, redis_cluster);
    };
    ($function:ident: $($store:ident),+) => {$(
        #[tokio::test]
        async fn $store() {
            $function(crate::Nodes::$store().await).await;
        }
    )+};
}
use each_store;
