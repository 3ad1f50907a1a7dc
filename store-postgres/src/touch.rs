use std::time::Duration;

use cloakroom_store_api::{SessionId, Stamp};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    config::TableName,
    lane::{self, Answers, Call, Lane},
    shared::Shared,
    sql::{self, Id, MOMENT, Statements, stamp},
};

/// Moves a deadline.
pub(crate) struct Touch {
    pub(crate) id: SessionId,
    pub(crate) revision: i64,
}

/// Its commit does not wait for the disk: a crash may take back the last touches.
pub(crate) fn sql(table: &TableName) -> String {
    let held = sql::held(table, "no key update");
    let hour = sql::hour("d.deadline");
    format!(
        "with asked as materialized (
            select a.* from unnest((select $1::uuid[]), $2::bigint[]) a(id, revision),
                (select set_config('lock_timeout', $3, true),
                    set_config('synchronous_commit', 'off', true)) brief
            order by a.id
        ), {held}, {MOMENT}, decided as materialized (
            select h.id, h.created_at, h.expires_at, m.now,
                greatest(h.expires_at, least(
                    m.since + h.idle_ms * interval '1 millisecond',
                    h.created_at + h.absolute_ms * interval '1 millisecond'
                )) as deadline
            from moment m, asked a join held h using (id)
            where h.revision = a.revision and h.expires_at > m.now
        ), stored as (
            update {table} s set expires_at = d.deadline, sweep_hour = {hour}
            from decided d where s.id = d.id and d.deadline > d.expires_at
        )
        select id, created_at, deadline, now from decided"
    )
}

impl Call for Touch {
    type Answer = Option<Stamp>;

    const AT_ONCE: usize = 1;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.touches
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.id)
    }

    async fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Self::Answer> {
        let rows = sqlx::query(AssertSqlSafe(sql.touch.clone()))
            .bind(calls.iter().map(|call| Id(call.id)).collect::<Vec<_>>())
            .bind(calls.iter().map(|call| call.revision).collect::<Vec<_>>())
            .bind(lane::timeout(lock))
            .fetch_all(connection)
            .await?;
        let answer = lane::by_id(&rows, |row| stamp(row, 1))?;
        Ok(calls
            .iter()
            .map(|call| Ok(answer.get(&call.id).copied()))
            .collect())
    }
}
