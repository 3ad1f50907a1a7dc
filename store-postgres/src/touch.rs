use std::time::Duration;

use cloakroom_store_api::{SessionId, Stamp};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{
    config::TableName,
    lane::{self, Answers, Call, Lane},
    shared::Shared,
    sql::{self, Id, Statements, stamp},
};

/// Moves a deadline.
pub(crate) struct Touch {
    pub(crate) id: SessionId,
    pub(crate) revision: i64,
}

/// The touches of many callers: each row is locked, in the order of their ids, then judged, then
/// written. No row leaves a sort before all have entered it: the clock is read when all locks are
/// held. Its commit does not wait for the disk: a crash may take back the last touches.
pub(crate) fn sql(table: &TableName) -> String {
    let locked = format!(
        "select t.* from (
            select a.* from unnest((select $1::uuid[]), $2::bigint[]) a(id, revision), {BRIEF}
            order by a.id
        ) a cross join lateral (
            select {COLUMNS} from {table} t
            where t.id = a.id and t.revision = a.revision for no key update
        ) t
        order by t.created_at offset 0"
    );
    moved(table, &locked)
}

/// The touch of a single caller: without arrays it takes the server two thirds of the time.
pub(crate) fn one_sql(table: &TableName) -> String {
    let locked = format!(
        "select {COLUMNS} from {table} t, {BRIEF}
        where t.id = $1 and t.revision = $2 for no key update of t"
    );
    moved(table, &locked)
}

const BRIEF: &str = "(select set_config('lock_timeout', $3, true),
    set_config('synchronous_commit', 'off', true)) brief";

const COLUMNS: &str = "t.id, t.created_at, t.expires_at, t.idle_ms, t.absolute_ms";

/// Moves the deadlines of the live ones of these rows.
fn moved(table: &TableName, locked: &str) -> String {
    let hour = sql::hour("d.deadline");
    format!(
        "update {table} s set expires_at = d.deadline, sweep_hour = {hour}
        from (
            select l.id, l.now, greatest(l.expires_at, least(
                date_trunc('milliseconds', l.now) + l.idle_ms * interval '1 millisecond',
                l.created_at + l.absolute_ms * interval '1 millisecond'
            )) as deadline
            from (select l.*, clock_timestamp() as now from ({locked}) l offset 0) l
            where l.expires_at > l.now offset 0
        ) d
        where s.id = d.id
        returning s.id, s.created_at, s.expires_at, d.now"
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
        let query = match calls {
            [call] => sqlx::query(AssertSqlSafe(sql.touch_one.clone()))
                .bind(Id(call.id))
                .bind(call.revision),
            _ => sqlx::query(AssertSqlSafe(sql.touch.clone()))
                .bind(calls.iter().map(|call| Id(call.id)).collect::<Vec<_>>())
                .bind(calls.iter().map(|call| call.revision).collect::<Vec<_>>()),
        };
        let rows = query
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
