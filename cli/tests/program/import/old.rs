//! What a table of tower-sessions has in it.

use std::process::Command;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cloakroom_store_api::SessionId;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};

use crate::support::{Ran, Table, server};

/// A table as tower-sessions-sqlx-store makes it, in a schema of a test's own.
pub(super) struct Old {
    pub(super) schema: String,
    pub(super) connection: PgConnection,
}

impl Old {
    pub(super) async fn new() -> Self {
        let mut old = Self {
            schema: format!("old_{:032x}", fastrand::u128(..)),
            connection: PgConnection::connect(&server()).await.unwrap(),
        };
        let sql = format!(
            "create schema {0}; set search_path to {0};
            create table session (
                id text primary key not null,
                data bytea not null,
                expiry_date timestamptz not null
            )",
            old.schema
        );
        old.execute(&sql).await;
        old
    }

    pub(super) async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql);
        raw_sql(sql).execute(&mut self.connection).await.unwrap();
    }

    /// Adds a session that lives for an hour.
    pub(super) async fn add(&mut self, entries: &Value) -> Key {
        let key = Key(fastrand::u128(..).cast_signed());
        self.add_row(&key.text(), &key.written(entries), "1 hour")
            .await;
        key
    }

    /// Adds as many, of whom nobody knows the ids.
    pub(super) async fn fill(&mut self, count: usize) {
        for _ in 0..count {
            self.add(&json!({ "user": "ann" })).await;
        }
    }

    pub(super) async fn add_row(&mut self, id: &str, data: &[u8], lives: &str) {
        sqlx::query("insert into session values ($1, $2, now() + $3::text::interval)")
            .bind(id)
            .bind(data)
            .bind(lives)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    pub(super) fn import(&self, table: &Table, arguments: &[&str]) -> Command {
        let from = format!("{}.session", self.schema);
        table.program(&[&["import", "--from-table", &from], arguments].concat())
    }

    /// Imports, and expects that to succeed.
    pub(super) fn imported(&self, table: &Table, arguments: &[&str]) -> Value {
        let arguments = [&["--format", "json"], arguments].concat();
        let ran: Ran = self.import(table, &arguments).output().unwrap().into();
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
        ran.object()
    }

    pub(super) async fn end(mut self, table: Table) {
        self.execute(&format!("drop schema {} cascade", self.schema))
            .await;
        table.store.drop_tables().await.unwrap();
    }
}

/// What a cookie of tower-sessions has.
#[derive(Clone, Copy)]
pub(super) struct Key(pub(super) i128);

impl Key {
    pub(super) fn text(self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.to_le_bytes())
    }

    pub(super) fn written(self, entries: &Value) -> Vec<u8> {
        rmp_serde::to_vec(&(self.0, entries, [2999, 1, 0, 0, 0, 0, 0, 0, 0])).unwrap()
    }

    pub(super) fn id(self) -> SessionId {
        SessionId::of_secret("cloakroom tower-sessions id v1", &self.0.to_le_bytes())
    }
}
