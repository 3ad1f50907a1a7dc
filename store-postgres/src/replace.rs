use std::{sync::Arc, time::Duration};

use cloakroom_store_api::{Record, Result, Saved, SessionId};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;

use crate::{
    config::TableName,
    lane::{self, Answers, Call, Lane},
    runner::ask_until,
    save::{Draft, Save, about},
    shared::Shared,
    sql::{self, Id, Statements, stamp},
};

/// Saves a record that was stored before.
///
/// Most saves find the revision that they have seen, in a session that does not end soon. Those take
/// one lookup of their row: [`Replace`] writes it. What is not so, it leaves to [`Save`].
pub(crate) async fn save(shared: &Arc<Shared>, record: &Record) -> Result<Saved> {
    let until = Instant::now() + shared.deadline;
    match ask_until(shared, Replace(Draft::new(record)?), until).await? {
        Some(saved) => Ok(saved),
        None => ask_until(shared, Save(Draft::new(record)?), until).await,
    }
}

/// Replaces the live record of a revision; does nothing where [`Save`] has to judge.
///
/// The clock is read before the row is locked. A session that may have died when this commits is none
/// of its business: it has to have [`left`] more than the statement can wait for locks.
pub(crate) struct Replace(Draft);

/// How long a session has to live that is replaced, in milliseconds: beside what a statement for so
/// many waits for locks, a second for all else.
fn left(lock: Duration, calls: usize) -> i64 {
    let waits = lock.saturating_mul(u32::try_from(calls).unwrap_or(u32::MAX));
    i64::try_from(waits.as_millis()).map_or(i64::MAX, |waits| waits.saturating_add(1_000))
}

/// The replacements of many callers, in the order of their ids.
pub(crate) fn sql(table: &TableName) -> String {
    replaced(
        table,
        "unnest((select $1::uuid[]), $2::bigint[], $3::bigint[], $4::smallint[], $5::text[],
            $6::bytea[], $7::bigint[])",
    )
}

/// The replacement of a lone caller, without arrays.
pub(crate) fn one_sql(table: &TableName) -> String {
    replaced(
        table,
        "(values ($1::uuid, $2::bigint, $3::bigint, $4::smallint, $5::text, $6::bytea,
            $7::bigint))",
    )
}

fn replaced(table: &TableName, asked: &str) -> String {
    let hour = sql::hour(DEADLINE);
    format!(
        "update {table} s set revision = s.revision + 1,
            expires_at = {DEADLINE}, sweep_hour = {hour},
            idle_ms = a.idle_ms, absolute_ms = a.absolute_ms,
            persistence = a.persistence, owner = a.owner, payload = a.payload
        from (
            select a.*, a.now + $9 * interval '1 millisecond' as soon,
                date_trunc('milliseconds', a.now) + a.idle_ms * interval '1 millisecond' as idle_end
            from (
                select a.*, clock_timestamp() as now from {asked}
                    a(id, idle_ms, absolute_ms, persistence, owner, payload, revision), 
                    (select set_config('lock_timeout', $8, true)) brief
                order by a.id offset 0
            ) a
        ) a
        where s.id = a.id and s.revision = a.revision
            and s.expires_at > a.soon and {DEADLINE} > a.soon
        returning s.id, s.created_at, s.expires_at, clock_timestamp()"
    )
}

const DEADLINE: &str = "least(a.idle_end, s.created_at + a.absolute_ms * interval '1 millisecond')";

impl Call for Replace {
    type Answer = Option<Saved>;

    const AT_ONCE: usize = 4;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.replacements
    }

    fn id(&self) -> Option<SessionId> {
        Some(self.0.id)
    }

    fn size(&self) -> usize {
        self.0.payload.len()
    }

    async fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Option<Saved>> {
        let drafts = || calls.iter().map(|Self(draft)| draft);
        let query = match calls {
            [Self(draft)] => sqlx::query(AssertSqlSafe(sql.replace_one.clone()))
                .bind(Id(draft.id))
                .bind(draft.idle_ms)
                .bind(draft.absolute_ms)
                .bind(draft.persistence)
                .bind(draft.owner.as_deref())
                .bind(&*draft.payload)
                .bind(draft.revision),
            _ => about(AssertSqlSafe(sql.replace.clone()), &drafts())
                .bind(drafts().map(|draft| draft.revision).collect::<Vec<_>>()),
        };
        let rows = query
            .bind(lane::timeout(lock))
            .bind(left(lock, calls.len()))
            .fetch_all(connection)
            .await?;
        let answer = lane::by_id(&rows, |row| Ok(Saved::Stored(stamp(row, 1)?)))?;
        let answers = drafts().map(|draft| Ok(answer.get(&draft.id).copied()));
        Ok(answers.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_to_live_longer_than_all_locks_can_take() {
        assert_eq!(left(Duration::from_millis(50), 1), 1_050);
        assert_eq!(left(Duration::from_millis(50), 256), 13_800);
        assert_eq!(left(Duration::MAX, 2), i64::MAX);
    }
}
