use std::time::Duration;

use cloakroom_store_api::{Age, Saved, SessionId};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{
    config::TableName,
    error,
    lane::{self, Answers, Call, Lane},
    save::Draft,
    shared::Shared,
    sql::{self, Id, MOMENT, Statements, stamp},
};

/// Gives a session a new id and a new record.
pub(crate) struct Rotate {
    pub(crate) old: SessionId,
    pub(crate) draft: Draft,
    pub(crate) age: Age,
}

/// One update of the key: a delete and an insert would show both sessions, or neither. A dead
/// leftover under the new id counts as taken.
pub(crate) fn sql(table: &TableName) -> String {
    let held = sql::held(table, "update");
    let hour = sql::hour("d.deadline");
    format!(
        "with asked as materialized (
            select a.* from unnest(array[$1::uuid, $2::uuid]) a(id),
                (select set_config('lock_timeout', $3, true)) brief
            order by a.id
        ), {held}, {MOMENT}, born as materialized (
            select h.revision, h.expires_at, m.now, m.since,
                case when $4 then m.since else h.created_at end as created_at
            from held h, moment m where h.id = $1
            limit 1
        ), decided as materialized (
            select b.created_at, b.now, b.expires_at > b.now and $5::bigint <> 0 as live,
                b.revision = $5 and not exists (select from held where id = $2) as free,
                least(
                    b.since + $6::bigint * interval '1 millisecond',
                    b.created_at + $7::bigint * interval '1 millisecond'
                ) as deadline
            from born b
        ), moved as (
            update {table} s set id = $2, revision = s.revision + 1, created_at = d.created_at,
                expires_at = d.deadline, sweep_hour = {hour},
                idle_ms = $6, absolute_ms = $7, persistence = $8, owner = $9, payload = $10
            from decided d
            where s.id = $1 and d.live and d.free and d.deadline > d.now
            returning s.id
        ), ended as (
            delete from {table} s using decided d
            where s.id = $1 and d.live and d.free and d.deadline <= d.now
        )
        select d.created_at, d.deadline, d.now, d.live, d.free, exists (select from moved)
        from decided d"
    )
}

impl Call for Rotate {
    type Answer = Saved;

    const MOST: usize = 1;
    const AT_ONCE: usize = 2;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.rotations
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.old)
    }

    async fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Saved> {
        let Self { old, draft, age } = calls[0];
        let row = sqlx::query(AssertSqlSafe(sql.rotate.clone()))
            .bind(Id(*old))
            .bind(Id(draft.id))
            .bind(lane::timeout(lock))
            .bind(*age == Age::Restart)
            .bind(draft.revision)
            .bind(draft.idle_ms)
            .bind(draft.absolute_ms)
            .bind(draft.persistence)
            .bind(draft.owner.as_deref())
            .bind(&*draft.payload)
            .fetch_optional(connection)
            .await;
        let row = match row {
            // Somebody has stored the new id since.
            Err(error) if error::code(&error).as_deref() == Some(error::DUPLICATE) => {
                return Ok(vec![Ok(Saved::Conflict)]);
            }
            row => row?,
        };
        let Some(row) = row else {
            return Ok(vec![Ok(Saved::Gone)]);
        };
        let saved = match (row.try_get(3)?, row.try_get(4)?) {
            (true, true) if row.try_get(5)? => Saved::Stored(stamp(&row, 0)?),
            (true, false) => Saved::Conflict,
            _ => Saved::Gone,
        };
        Ok(vec![Ok(saved)])
    }
}
