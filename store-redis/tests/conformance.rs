//! `RedisStore` is a session store. Needs a server: `scripts/with-servers`.

mod support;

use cloakroom_store_api::{SessionId, conformance::Subject, conformance_tests};
use cloakroom_store_redis::RedisStore;

conformance_tests!(Fresh);

/// A prefix of its own for each store.
struct Fresh;

impl Subject for Fresh {
    type Store = RedisStore;

    async fn store(&self) -> RedisStore {
        support::fresh_store().await
    }

    async fn node(&self, store: &RedisStore) -> RedisStore {
        let node = RedisStore::builder(&support::server()).prefix(store.prefix().clone());
        node.connect().await.unwrap()
    }

    async fn spoil(&self, store: &RedisStore, id: SessionId) {
        let key = support::key(store, id);
        let _: u64 = support::run(&format!("SETRANGE {key} 60 spoiled")).await;
    }
}
