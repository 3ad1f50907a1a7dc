use std::time::Duration;

use cloakroom_store_api::SessionId;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{
    config::TableName,
    lane::{self, Answers, Call, Lane},
    shared::Shared,
    sql::{self, Id, MOMENT, Statements},
};

/// Ends a session.
pub(crate) struct Expire(pub(crate) SessionId);

pub(crate) fn sql(table: &TableName) -> String {
    let held = sql::held(table, "update");
    format!(
        "with asked as materialized (
            select a.* from unnest((select $1::uuid[])) a(id),
                (select set_config('lock_timeout', $2, true)) brief
            order by a.id
        ), {held}, {MOMENT}, ended as (
            delete from {table} s using held h where s.id = h.id
        )
        select h.id, h.expires_at > m.now from held h, moment m"
    )
}

impl Call for Expire {
    type Answer = bool;

    const AT_ONCE: usize = 1;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.expires
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.0)
    }

    async fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<bool> {
        let rows = sqlx::query(AssertSqlSafe(sql.expire.clone()))
            .bind(calls.iter().map(|call| Id(call.0)).collect::<Vec<_>>())
            .bind(lane::timeout(lock))
            .fetch_all(connection)
            .await?;
        let answer = lane::by_id(&rows, |row| row.try_get(1))?;
        let answers = calls.iter().map(|call| answer.get(&call.0).copied());
        Ok(answers
            .map(|was_live| Ok(was_live.unwrap_or(false)))
            .collect())
    }
}
