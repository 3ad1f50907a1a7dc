//! A store that asks Sentinels for the master.

use cloakroom_store_api::SessionStore;
use cloakroom_store_redis::RedisStore;

use crate::support::{owned, stored, unique_prefix, url};

#[tokio::test]
async fn sentinels_name_the_master() {
    let url = url("CLOAKROOM_TEST_REDIS_SENTINEL_URL");
    let store = RedisStore::builder(&url).prefix(unique_prefix());
    let store = store.connect().await.unwrap();
    let session = stored(&store, owned("ann")).await;
    assert!(store.load(session.id).await.unwrap().is_some());
    assert_eq!(store.expire_owner("ann", None).await.unwrap(), 1);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_master_that_no_sentinel_knows_is_an_error() {
    let url = url("CLOAKROOM_TEST_REDIS_SENTINEL_URL");
    let (sentinels, _) = url.rsplit_once('/').unwrap();
    let error = RedisStore::connect(&format!("{sentinels}/nobody"))
        .await
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("no master of this name"), "{cause}");
}
