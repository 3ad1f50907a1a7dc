//! Where the server is, and tables of a test's own.
#![allow(dead_code)] // Each test program uses its part.

use std::{collections::HashSet, net::SocketAddr};

use cloakroom_store_api::{Lifetime, Record, Saved, SessionId, SessionStore, SessionToken};
use cloakroom_store_postgres::{PostgresStore, PostgresStoreBuilder, TableName};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The URL of the server for tests.
pub(crate) fn server() -> String {
    std::env::var("CLOAKROOM_TEST_POSTGRES_URL")
        .expect("CLOAKROOM_TEST_POSTGRES_URL names a server; scripts/with-servers sets it")
}

pub(crate) fn unique_table() -> TableName {
    let name = format!("test_{:032x}", fastrand::u128(..));
    name.parse().unwrap()
}

/// Settings for a store in a table that nobody else has, not yet made.
pub(crate) fn fresh() -> PostgresStoreBuilder {
    PostgresStore::builder(&server()).table(unique_table())
}

/// As [`fresh`] on any server, and the name by which its connections can be told from others.
pub(crate) fn named(url: &str) -> (PostgresStoreBuilder, String) {
    let name = format!("test_{:x}", fastrand::u64(..));
    let url = format!("{url}?application_name={name}");
    (PostgresStore::builder(&url).table(unique_table()), name)
}

/// How many connections have this name, and fulfil more SQL.
pub(crate) async fn connections(name: &str, and: &str) -> i64 {
    number(&format!(
        "select count(*) from pg_stat_activity where application_name = '{name}' {and}"
    ))
    .await
}

/// The server's processes that serve connections of this name.
pub(crate) async fn serving(name: &str) -> HashSet<i32> {
    let sql = format!("select pid from pg_stat_activity where application_name = '{name}'");
    let pids = sqlx::query_scalar(AssertSqlSafe(sql));
    let pids = pids.fetch_all(&mut connection().await).await.unwrap();
    pids.into_iter().collect()
}

/// The part of a URL that is between user and database.
fn host(url: &str) -> &str {
    let (_, rest) = url.rsplit_once('@').expect("the URL has a user");
    rest.split('/').next().unwrap_or(rest)
}

/// Where the server of a URL listens.
pub(crate) async fn address(url: &str) -> SocketAddr {
    let mut found = tokio::net::lookup_host(host(url)).await.unwrap();
    found.next().expect("the host has an address")
}

/// The URL of another database of the server for tests.
pub(crate) fn in_database(name: &str) -> String {
    let url = server();
    let (before, _) = url.rsplit_once('/').expect("the URL has a database");
    format!("{before}/{name}")
}

/// The URL of the server for tests, by way of another address.
pub(crate) fn by_way_of(address: SocketAddr) -> String {
    let url = server();
    url.replacen(&format!("@{}", host(&url)), &format!("@{address}"), 1)
}

pub(crate) async fn migrated(builder: PostgresStoreBuilder) -> PostgresStore {
    let store = builder.connect().await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Another store on the same table, as another process would have it.
pub(crate) async fn node(store: &PostgresStore) -> PostgresStore {
    PostgresStore::builder(&server())
        .table(store.table().clone())
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn connection() -> PgConnection {
    PgConnection::connect(&server()).await.unwrap()
}

/// Runs statements beside the store, such as an administrator's.
pub(crate) async fn run(sql: &str) {
    let mut connection = connection().await;
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
}

/// Makes the next sweep look at every record.
pub(crate) async fn make_due(store: &PostgresStore) {
    run(&format!("update {} set sweep_hour = 0", store.table())).await;
}

/// Makes the stored record of a session unreadable.
pub(crate) async fn spoil(store: &PostgresStore, id: SessionId) {
    let table = store.table();
    run(&format!(
        r"update {table} set payload = '\xff' where id = '{id}'"
    ))
    .await;
}

/// The one number that a query has to say.
pub(crate) async fn number(sql: &str) -> i64 {
    let mut connection = connection().await;
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await
        .unwrap()
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
