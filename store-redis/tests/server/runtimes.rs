//! Runtimes that end before their stores do.

use cloakroom_store_api::{Saved, SessionStore};
use cloakroom_store_redis::RedisStore;
use tokio::runtime::Runtime;

use crate::support::{cluster, owned, server, unique_prefix};

#[test]
fn a_store_outlives_the_runtime_that_it_was_connected_in() {
    for url in [server(), cluster()] {
        let builder = RedisStore::builder(&url).prefix(unique_prefix());
        let connecting = builder.connect();
        let store = Runtime::new().unwrap().block_on(connecting).unwrap();
        for _ in 0..2 {
            let another = Runtime::new().unwrap();
            another.block_on(async {
                let new = owned("ann");
                let saved = store.save(&new).await;
                assert!(matches!(saved, Ok(Saved::Stored(_))), "{url}: {saved:?}");
                // By each of its connections.
                for _ in 0..4 {
                    assert!(store.load(new.id).await.unwrap().is_some());
                }
            });
        }
    }
}
