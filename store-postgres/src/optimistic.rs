//! What nearly all saves are: a new session of a new id, or a live one of the revision that the caller
//! has seen. These write without judging, and wait for locks only briefly. What they find otherwise is
//! left to [`Create`] and [`Save`], a second statement.

use std::{sync::Arc, time::Duration};

use cloakroom_store_api::{Record, Result, Saved, SessionId};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};
use tokio::time::Instant;

use crate::{
    config::TableName,
    error,
    lane::{self, Answers, Call, Lane},
    runner::ask_until,
    save::{Create, Draft, Save, about},
    shared::Shared,
    sql::{self, Id, Statements, stamp},
};

/// Saves a record that was stored before.
pub(crate) async fn save(shared: &Arc<Shared>, record: &Record) -> Result<Saved> {
    let until = Instant::now() + shared.deadline;
    match ask_until(shared, Replace(Draft::new(record)?), until).await? {
        Some(saved) => Ok(saved),
        None => ask_until(shared, Save(Draft::new(record)?), until).await,
    }
}

/// Stores a record that never was, whose lifetime is not zero.
pub(crate) async fn create(shared: &Arc<Shared>, record: &Record) -> Result<Saved> {
    let until = Instant::now() + shared.deadline;
    match ask_until(shared, Insert(Draft::new(record)?), until).await? {
        Some(saved) => Ok(saved),
        None => ask_until(shared, Create(Draft::new(record)?), until).await,
    }
}

/// Adds a row; does nothing where the id has one. It does not look whether it has: PostgreSQL's `on
/// conflict` does, with one more lookup and one more record in its log, an eighth of a create. One
/// row that is there fails all that share the statement, and each is tried alone.
pub(crate) struct Insert(Draft);

/// Replaces the live record of a revision; does nothing where [`Save`] has to judge.
///
/// The clock is read before the rows are locked. A session that may have died by then is none of its
/// business: it has to have [`left`] more than the statement can wait.
pub(crate) struct Replace(Draft);

/// How long a session has to live that is replaced, in milliseconds: beside what a statement for so
/// many may wait for locks, a second for all else. Who wants a row waits for its turn, for who has it,
/// and for who has it next, each as long as the server allows for one lock.
fn left(lock: Duration, calls: usize) -> i64 {
    let waits = lock.saturating_mul(u32::try_from(4 * calls).unwrap_or(u32::MAX));
    i64::try_from(waits.as_millis()).map_or(i64::MAX, |waits| waits.saturating_add(1_000))
}

/// The rows to add, dated by when the statement began.
pub(crate) fn insert_sql(table: &TableName) -> String {
    let ends = "a.since + least(a.idle_ms, a.absolute_ms) * interval '1 millisecond'";
    let hour = sql::hour(ends);
    format!(
        "insert into {table} as s (id, revision, created_at, expires_at, sweep_hour,
            idle_ms, absolute_ms, persistence, owner, payload)
        select a.id, 1, a.since, {ends}, {hour},
            a.idle_ms, a.absolute_ms, a.persistence, a.owner, a.payload
        from (
            select a.*, date_trunc('milliseconds', clock_timestamp()) as since
            from unnest((select $1::uuid[]), $2::bigint[], $3::bigint[], $4::smallint[],
                $5::text[], $6::bytea[]) a(id, idle_ms, absolute_ms, persistence, owner, payload),
                (select set_config('lock_timeout', $7, true)) brief
            order by a.id offset 0
        ) a
        returning s.id, s.created_at, s.expires_at, s.created_at"
    )
}

impl Call for Insert {
    type Answer = Option<Saved>;

    const AT_ONCE: usize = Create::AT_ONCE;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.insertions
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
        let drafts = calls.iter().map(|Self(draft)| draft);
        let inserted = about(AssertSqlSafe(sql.insert.clone()), &drafts)
            .bind(lane::timeout(lock))
            .fetch_all(connection)
            .await;
        answers(inserted, drafts)
    }
}

/// The replacements of many callers, in the order of their ids.
///
/// The limit is how many there are. What the planner does not know it takes for one row, and so looks
/// each up by its key, in this order, even where it planned for an empty table; for the ten that it
/// takes an array for, it would read the table from end to end.
pub(crate) fn replace_sql(table: &TableName) -> String {
    replaced(
        table,
        "unnest((select $1::uuid[]), $2::bigint[], $3::bigint[], $4::smallint[], $5::text[],
            $6::bytea[], $7::bigint[])",
        "(select cardinality($1::uuid[]))",
    )
}

/// The replacement of a single caller, without arrays.
pub(crate) fn replace_one_sql(table: &TableName) -> String {
    replaced(
        table,
        "(values ($1::uuid, $2::bigint, $3::bigint, $4::smallint, $5::text, $6::bytea,
            $7::bigint))",
        "1",
    )
}

fn replaced(table: &TableName, asked: &str, limit: &str) -> String {
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
                order by a.id limit {limit}
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

    const AT_ONCE: usize = Save::AT_ONCE;
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
        let replaced = query
            .bind(lane::timeout(lock))
            .bind(left(lock, calls.len()))
            .fetch_all(connection)
            .await;
        answers(replaced, drafts())
    }
}

/// Which of these drafts are among the rows that were written.
fn answers<'a>(
    written: sqlx::Result<Vec<PgRow>>,
    drafts: impl ExactSizeIterator<Item = &'a Draft>,
) -> Answers<Option<Saved>> {
    let rows = match written {
        Ok(rows) => rows,
        // Of one of several it is an error, after which each is tried alone.
        Err(error) if drafts.len() == 1 && is_to_be_judged(&error) => return Ok(vec![Ok(None)]),
        Err(error) => return Err(error),
    };
    let answer = lane::by_id(&rows, |row| Ok(Saved::Stored(stamp(row, 1)?)))?;
    Ok(drafts
        .map(|draft| Ok(answer.get(&draft.id).copied()))
        .collect())
}

/// Whether somebody else's row or lock was in the way.
fn is_to_be_judged(error: &sqlx::Error) -> bool {
    let code = error::code(error);
    code.is_some_and(|code| [error::DUPLICATE, error::LOCKED].contains(&&*code))
}

#[cfg(test)]
mod tests {
    use cloakroom_store_api::{Lifetime, SessionToken};

    use super::*;

    #[test]
    fn a_record_weighs_what_its_payload_does() {
        let record = Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER);
        let draft = || Draft::new(&record).unwrap();
        let size = draft().payload.len();
        assert_eq!([Insert(draft()).size(), Replace(draft()).size()], [size; 2]);
    }

    #[test]
    fn a_session_has_to_live_longer_than_all_locks_can_take() {
        assert_eq!(left(Duration::from_millis(50), 1), 1_200);
        assert_eq!(left(Duration::from_millis(50), 256), 52_200);
        assert_eq!(left(Duration::MAX, 2), i64::MAX);
    }
}
