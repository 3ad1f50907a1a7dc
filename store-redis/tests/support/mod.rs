//! Where the server is, and prefixes of a test's own.
#![allow(dead_code)] // Each test program uses its part.

use std::time::Duration;

use cloakroom_store_api::{Lifetime, Record, Saved, SessionId, SessionStore, SessionToken};
use cloakroom_store_redis::{Prefix, RedisStore, RedisStoreBuilder};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Value, aio::MultiplexedConnection};

/// The URL of a server for tests.
pub(crate) fn url(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names a server; scripts/with-servers sets it"))
}

pub(crate) fn server() -> String {
    url("CLOAKROOM_TEST_REDIS_URL")
}

pub(crate) fn cluster() -> String {
    url("CLOAKROOM_TEST_REDIS_CLUSTER_URL")
}

pub(crate) fn unique_prefix() -> Prefix {
    format!("test-{:032x}:", fastrand::u128(..))
        .parse()
        .unwrap()
}

/// Settings for a store that shares its keys with nobody.
pub(crate) fn fresh() -> RedisStoreBuilder {
    RedisStore::builder(&server()).prefix(unique_prefix())
}

pub(crate) async fn fresh_store() -> RedisStore {
    fresh().connect().await.unwrap()
}

pub(crate) fn key(store: &RedisStore, id: SessionId) -> String {
    format!("{}{id}", store.prefix())
}

pub(crate) fn owner_key(store: &RedisStore, owner: &str) -> String {
    let prefix = store.prefix().as_str();
    format!("{prefix}{owner}:{}:owner", prefix.len())
}

/// Sends a command beside the store, such as an administrator's: `run("SET a b")`.
pub(crate) async fn run<T: FromRedisValue>(words: &str) -> T {
    ask(&command(words)).await
}

pub(crate) fn command(words: &str) -> Cmd {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command
}

pub(crate) async fn ask<T: FromRedisValue>(command: &Cmd) -> T {
    command
        .query_async(&mut connection(&server()).await)
        .await
        .unwrap()
}

/// A connection beside the store's, with patience for a machine that stands still.
pub(crate) async fn connection(url: &str) -> MultiplexedConnection {
    let patience = Some(Duration::from_secs(30));
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(patience)
        .set_response_timeout(patience);
    let client = redis::Client::open(url).unwrap();
    let connection = client.get_multiplexed_async_connection_with_config(&settings);
    connection.await.unwrap()
}

/// Sends a command to the cluster, where its key is.
pub(crate) async fn run_in_cluster(words: &str) -> Value {
    ask_cluster(&command(words)).await
}

pub(crate) async fn ask_cluster(command: &Cmd) -> Value {
    let hosts = cluster();
    let hosts = hosts.trim_start_matches("redis+cluster://").split(',');
    let client =
        redis::cluster::ClusterClient::new(hosts.map(|host| format!("redis://{host}"))).unwrap();
    let mut connection = client.get_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

pub(crate) fn record() -> Record {
    let id = SessionToken::generate().unwrap().id();
    Record::new(id, Lifetime::BROWSER)
}

pub(crate) fn owned(owner: &str) -> Record {
    Record {
        owner: Some(owner.parse().unwrap()),
        ..record()
    }
}

pub(crate) async fn stored(store: &impl SessionStore, record: Record) -> Record {
    match store.save(&record).await.unwrap() {
        Saved::Stored(stamp) => record.stored(stamp),
        other => panic!("expected Stored, got {other:?}"),
    }
}
