//! `RedisStore` is a session store in a cluster. Needs one: `scripts/with-servers`.

mod support;

use cloakroom_store_api::{SessionId, conformance::Subject, conformance_tests};
use cloakroom_store_redis::RedisStore;

conformance_tests!(Fresh);

/// A prefix of its own for each store.
struct Fresh;

impl Subject for Fresh {
    type Store = RedisStore;

    async fn store(&self) -> RedisStore {
        let store = RedisStore::builder(&support::cluster()).prefix(support::unique_prefix());
        store.connect().await.unwrap()
    }

    async fn node(&self, store: &RedisStore) -> RedisStore {
        let node = RedisStore::builder(&support::cluster()).prefix(store.prefix().clone());
        node.connect().await.unwrap()
    }

    async fn spoil(&self, store: &RedisStore, id: SessionId) {
        let key = support::key(store, id);
        support::run_in_cluster(&format!("SETRANGE {key} 60 spoiled")).await;
    }
}
