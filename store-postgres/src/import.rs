//! Sessions that come from another framework's store.

use cloakroom_store_api::{Error, Record, Result, SessionId};
use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};

use crate::{
    config::TableName,
    save::{self, Draft},
    schema::BEGIN,
    sql::{self, Id},
};

/// The records of one statement, ready to be sent.
pub(crate) fn drafts(records: &[Record]) -> Result<Vec<Draft>> {
    let drafts = records.iter().map(|record| match record.revision {
        0 => Draft::new(record),
        _ => Err(Error::backend(format!(
            "session {} is of a store already",
            record.id
        ))),
    });
    drafts.collect()
}

/// The ids of all that was ever imported, whatever became of the sessions.
fn ledger(table: &TableName) -> TableName {
    table.sibling("_imported")
}

/// Stores those of the sessions that have never been imported; says how many these were.
pub(crate) async fn import(
    connection: &mut PgConnection,
    table: &TableName,
    drafts: &[Draft],
) -> sqlx::Result<u64> {
    if !has_ledger(connection, table).await? {
        make_ledger(connection, table).await?;
    }
    let statement = save::about(AssertSqlSafe(sql(table)), &drafts.iter());
    let row = statement.fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)?.cast_unsigned())
}

/// The ledger and the sessions in one statement: an import that is cut off has done both or
/// neither, so that the next one neither forgets a session nor brings back one that was ended.
///
/// In the order of the ids, because two imports at once wait for each other.
fn sql(table: &TableName) -> String {
    let ledger = ledger(table);
    let hour = sql::hour("d.deadline");
    format!(
        "with asked as materialized (
            select a.* from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::smallint[],
                $5::text[], $6::bytea[]) a(id, idle_ms, absolute_ms, persistence, owner, payload)
        ), fresh as (
            insert into {ledger} select id from asked order by id on conflict do nothing
            returning id
        ), dated as (
            select a.*, n.since,
                n.since + least(a.idle_ms, a.absolute_ms) * interval '1 millisecond' as deadline
            from asked a join fresh using (id),
                (select date_trunc('milliseconds', clock_timestamp()) as since offset 0) n
        ), stored as (
            insert into {table} (id, revision, created_at, expires_at, sweep_hour,
                idle_ms, absolute_ms, persistence, owner, payload)
            select d.id, 1, d.since, d.deadline, {hour},
                d.idle_ms, d.absolute_ms, d.persistence, d.owner, d.payload
            from dated d where d.deadline > d.since
            on conflict (id) do nothing
            returning 1
        )
        select count(*) from stored"
    )
}

/// How many of these ids an import would leave alone.
pub(crate) async fn count_imported(
    connection: &mut PgConnection,
    table: &TableName,
    ids: &[SessionId],
) -> sqlx::Result<u64> {
    if !has_ledger(connection, table).await? {
        return Ok(0);
    }
    let sql = format!(
        "select count(*) from {} where id = any($1::uuid[])",
        ledger(table)
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(ids.iter().copied().map(Id).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)?.cast_unsigned())
}

async fn has_ledger(connection: &mut PgConnection, table: &TableName) -> sqlx::Result<bool> {
    let row = sqlx::query("select to_regclass($1) is not null")
        .bind(ledger(table).to_string())
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

async fn make_ledger(connection: &mut PgConnection, table: &TableName) -> sqlx::Result<()> {
    let ledger = ledger(table);
    let sql = format!(
        "{BEGIN}
        create table if not exists {ledger} (id uuid primary key);
        commit"
    );
    raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
