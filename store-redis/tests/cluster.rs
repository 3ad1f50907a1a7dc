//! `RedisStore` is a session store in a cluster. Needs one: `scripts/with-servers`.

mod support;

use std::time::Duration;

use cloakroom_store_api::{SessionId, conformance::Subject, conformance_tests};
use cloakroom_store_redis::{Prefix, RedisStore, RedisStoreBuilder};
use redis::cluster::ClusterClientBuilder;

conformance_tests!(Fresh);

/// A prefix of its own for each store.
struct Fresh;

impl Fresh {
    /// With more patience for a machine that stands still than a URL's store has, which gives a
    /// server up after 0.4 s.
    async fn of(&self, prefix: Prefix) -> RedisStore {
        let hosts = support::cluster();
        let hosts = hosts.trim_start_matches("redis+cluster://").split(',');
        let client = ClusterClientBuilder::new(hosts.map(|host| format!("redis://{host}")))
            .connection_timeout(Duration::from_secs(5))
            .response_timeout(Duration::from_secs(5))
            .retries(0)
            .build();
        let builder = RedisStoreBuilder::from(client.unwrap()).prefix(prefix);
        builder.connect().await.unwrap()
    }
}

impl Subject for Fresh {
    type Store = RedisStore;

    async fn store(&self) -> RedisStore {
        self.of(support::unique_prefix()).await
    }

    async fn node(&self, store: &RedisStore) -> RedisStore {
        self.of(store.prefix().clone()).await
    }

    async fn spoil(&self, store: &RedisStore, id: SessionId) {
        let key = support::key(store, id);
        support::run_in_cluster(&format!("SETRANGE {key} 60 spoiled")).await;
    }
}
