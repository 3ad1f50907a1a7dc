use std::{num::NonZeroU32, time::Duration};

use cloakroom_store_api::{SessionId, Stats, Swept};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{
    config::TableName,
    lane::{Answers, Call, Lane},
    shared::Shared,
    sql::{At, Statements},
};

/// Deletes what is dead.
pub(crate) struct Sweep(pub(crate) NonZeroU32);

/// Counts what is stored.
pub(crate) struct Count;

/// Asks whether the server answers and has the table.
pub(crate) struct Ping;

/// Whatever another sweeper or a save has locked is left to it, and a locked row is judged
/// again in its newest version.
pub(crate) fn sql(table: &TableName) -> String {
    format!(
        "with swept as (
            delete from {table} where ctid = any(array(
                select ctid from {table}
                where {DUE} and expires_at <= statement_timestamp()
                order by sweep_hour limit $1 for update skip locked
            ))
            returning 1
        )
        select count(*) from swept"
    )
}

/// What died before the last full hour.
const DUE: &str = "sweep_hour <= floor(extract(epoch from statement_timestamp()) / 3600)::integer";

impl Call for Sweep {
    type Answer = Swept;

    const MOST: usize = 1;
    const AT_ONCE: usize = 1;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.sweeps
    }

    fn id(&self) -> Option<SessionId> {
        None
    }

    async fn run(
        calls: &[&Self],
        _: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Swept> {
        let limit = i64::from(calls[0].0.get());
        let row = sqlx::query(AssertSqlSafe(sql.sweep.clone()))
            .bind(limit)
            .fetch_one(connection)
            .await?;
        let removed: i64 = row.try_get(0)?;
        Ok(vec![Ok(Swept {
            removed: removed.cast_unsigned(),
            more: removed == limit,
        })])
    }
}

pub(crate) fn stats_sql(table: &TableName) -> String {
    format!(
        "select
            count(*) filter (where expires_at > statement_timestamp() and persistence = 0),
            count(*) filter (where expires_at > statement_timestamp() and persistence = 1),
            count(*) filter (where expires_at <= statement_timestamp()),
            min(expires_at)
        from {table}"
    )
}

impl Call for Count {
    type Answer = Stats;

    const AT_ONCE: usize = 1;
    const WRITES: bool = false;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.counts
    }

    fn id(&self) -> Option<SessionId> {
        None
    }

    async fn run(
        calls: &[&Self],
        _: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Stats> {
        let row = sqlx::query(AssertSqlSafe(sql.stats.clone()))
            .fetch_one(connection)
            .await?;
        let oldest: Option<At> = row.try_get(3)?;
        let stats = Stats {
            browser: row.try_get::<i64, _>(0)?.cast_unsigned(),
            persistent: row.try_get::<i64, _>(1)?.cast_unsigned(),
            expired: row.try_get::<i64, _>(2)?.cast_unsigned(),
            oldest_expiry: oldest.map(|At(instant)| instant),
        };
        Ok(calls.iter().map(|_| Ok(stats)).collect())
    }
}

/// How many records a sweep would delete. The hour is enough to judge by: a row's own is never
/// before its deadline.
pub(crate) async fn count_due(
    connection: &mut PgConnection,
    table: &TableName,
) -> sqlx::Result<u64> {
    let sql = format!("select count(*) from {table} where {DUE}");
    let row = sqlx::query(AssertSqlSafe(sql))
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)?.cast_unsigned())
}

impl Call for Ping {
    type Answer = ();

    const AT_ONCE: usize = 1;
    const WRITES: bool = false;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.pings
    }

    fn id(&self) -> Option<SessionId> {
        None
    }

    async fn run(
        calls: &[&Self],
        _: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<()> {
        sqlx::query(AssertSqlSafe(sql.ping.clone()))
            .fetch_all(connection)
            .await?;
        Ok(calls.iter().map(|_| Ok(())).collect())
    }
}
