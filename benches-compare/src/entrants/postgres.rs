//! Stores in PostgreSQL. Each pool may have 16 connections; ours has its default of 8.

use anyhow::{Result, ensure};
use cloakroom_store_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tower_sessions_sqlx_store::{PostgresStore as Peer, sqlx as peer_sqlx};

use crate::{
    entrants::{Group, bytes, ours::Ours, tower::TowerSessions14},
    measure::{Entrant, Named, SESSIONS},
};

pub async fn group(url: &str) -> Result<Group> {
    Ok(Group {
        name: "postgres",
        entrants: vec![
            Named::new("cloakroom", Ours::new(ours(url).await?).await?),
            Named::new(
                "tower-sessions sqlx",
                TowerSessions14::new(peer(url).await?).await?,
            ),
            Named::new("sqlx, one statement each", Raw::new(url).await?),
        ],
    })
}

pub async fn ours(url: &str) -> Result<PostgresStore> {
    let table = format!("ours_{:016x}", fastrand::u64(..));
    let store = PostgresStore::builder(url)
        .table(table.parse()?)
        .connect()
        .await?;
    store.migrate().await?;
    Ok(store)
}

pub async fn peer(url: &str) -> Result<Peer> {
    let pool = peer_sqlx::postgres::PgPoolOptions::new()
        .max_connections(16)
        .connect(url)
        .await?;
    let store = Peer::new(pool);
    store.migrate().await?;
    Ok(store)
}

/// One prepared statement for each call, which compares nothing.
struct Raw {
    pool: PgPool,
    table: String,
    ids: Vec<i64>,
    bytes: Vec<u8>,
}

impl Raw {
    async fn new(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .connect(url)
            .await?;
        let table = format!("raw_{:016x}", fastrand::u64(..));
        let create = format!(
            "create table {table} (id bigint primary key, expires_at timestamptz not null, payload bytea not null)"
        );
        sqlx::query(AssertSqlSafe(create)).execute(&pool).await?;
        let raw = Self {
            pool,
            table,
            ids: (0..SESSIONS).map(|_| fastrand::i64(..)).collect(),
            bytes: bytes(),
        };
        for id in &raw.ids {
            raw.insert(*id).await?;
        }
        Ok(raw)
    }

    async fn insert(&self, id: i64) -> Result<()> {
        let sql = format!(
            "insert into {} values ($1, now() + interval '14 days', $2)",
            self.table
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(&self.bytes)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl Entrant for Raw {
    async fn load(&self, session: usize) -> Result<()> {
        let sql = format!(
            "select payload from {} where id = $1 and expires_at > now()",
            self.table
        );
        let payload: Vec<u8> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(self.ids[session])
            .fetch_one(&self.pool)
            .await?;
        ensure!(!payload.is_empty(), "it is there");
        Ok(())
    }

    async fn save(&self, session: usize) -> Result<()> {
        let sql = format!(
            "update {} set payload = $2, expires_at = now() + interval '14 days' where id = $1 and expires_at > now()",
            self.table
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(self.ids[session])
            .bind(&self.bytes)
            .execute(&self.pool)
            .await?;
        ensure!(done.rows_affected() == 1, "it is there");
        Ok(())
    }

    async fn create(&self) -> Result<()> {
        self.insert(fastrand::i64(..)).await
    }
}
