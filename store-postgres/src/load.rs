use std::{collections::HashMap, time::Duration};

use cloakroom_store_api::{Record, Result, SessionId};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use crate::{
    config::TableName,
    lane::{Answers, Call, Lane},
    shared::Shared,
    sql::{Id, Statements, stamp},
};

/// Reads a live session.
pub(crate) struct Load(pub(crate) SessionId);

/// The loads of many callers.
pub(crate) fn sql(table: &TableName) -> String {
    live(table, "any((select $1::uuid[])::uuid[])")
}

/// The load of a single caller: without an array it takes a twelfth less.
pub(crate) fn one_sql(table: &TableName) -> String {
    live(table, "$1")
}

fn live(table: &TableName, asked: &str) -> String {
    format!(
        "select s.id, s.revision, s.created_at, s.expires_at, statement_timestamp(), s.payload
        from {table} s where s.id = {asked} and s.expires_at > statement_timestamp()"
    )
}

impl Call for Load {
    type Answer = Option<Record>;

    const AT_ONCE: usize = 2;
    const WRITES: bool = false;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.loads
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.0)
    }

    async fn run(
        calls: &[&Self],
        _: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Self::Answer> {
        let query = match calls {
            [Self(id)] => sqlx::query(AssertSqlSafe(sql.load_one.clone())).bind(Id(*id)),
            _ => sqlx::query(AssertSqlSafe(sql.load.clone()))
                .bind(calls.iter().map(|Self(id)| Id(*id)).collect::<Vec<_>>()),
        };
        let rows = query.fetch_all(connection).await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            found.insert(row.try_get::<Id, _>(0)?.0, row);
        }
        calls
            .iter()
            .map(|Self(id)| match found.get(id) {
                Some(row) => Ok(record(row)?.map(Some)),
                None => Ok(Ok(None)),
            })
            .collect()
    }
}

/// The record in a row of these columns: id, revision, created_at, expires_at, now, payload.
pub(crate) fn record(row: &PgRow) -> sqlx::Result<Result<Record>> {
    Ok(Record::decode(
        row.try_get::<Id, _>(0)?.0,
        row.try_get::<i64, _>(1)?.cast_unsigned(),
        stamp(row, 2)?,
        row.try_get::<&[u8], _>(5)?,
    ))
}
