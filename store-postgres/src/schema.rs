//! What the store needs in the database, and how it gets there.

use sqlx::{AssertSqlSafe, PgConnection, Row, raw_sql};

use crate::config::TableName;

/// The version of the tables that [`migration`] makes.
const VERSION: i32 = 1;

/// How tables are made or dropped: by one at a time, with one key for all tables, because
/// `create … if not exists` of two sessions at once fails with a unique violation in PostgreSQL's own
/// catalogue. Who has waited sees what was made meanwhile, and may have waited longer than a role's
/// statements, locks or transactions may last (the last from PostgreSQL 17 on).
pub(crate) const BEGIN: &str = "\
begin isolation level read committed;
set local client_min_messages = warning;
select set_config(name, '0', true) from pg_settings
where name in ('statement_timeout', 'lock_timeout', 'transaction_timeout');
select pg_advisory_xact_lock(x'636c6f616b726f6f'::bigint);";

/// SQL that makes the tables where they are missing, and changes nothing where they are.
///
/// The table leaves room on its pages, and the sweep's index is on hours: so a touch changes no
/// index. 67,000 touches of 100,000 sessions of 600 bytes wrote 7 MB of WAL (99 in 100 of them
/// on their page); with pages filled to 85 in 100 it was 17 MB, and with an index on `expires_at`
/// 28 MB (none on its page).
pub(crate) fn migration(table: &TableName) -> String {
    let version = table.sibling("_version");
    let owner_index = table.unqualified("_owner");
    let sweep_index = table.unqualified("_sweep");
    let name = literal(&table.to_string());
    format!(
        "\
{BEGIN}
-- Deadlines are in timestamptz, timeouts in milliseconds. sweep_hour is the first full hour after
-- expires_at, counted from 1970: an index on it stays as it is when a session is touched.
create table if not exists {table} (
    id uuid primary key,
    revision bigint not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    sweep_hour integer not null,
    idle_ms bigint not null,
    absolute_ms bigint not null,
    persistence smallint not null,
    owner text collate \"C\",
    payload bytea not null
) with (fillfactor = 70);
create index if not exists {owner_index} on {table} (owner) where owner is not null;
create index if not exists {sweep_index} on {table} (sweep_hour);
-- They may be another table's: one that was renamed keeps the names of its indexes.
select set_config('cloakroom.table', {name}, true);
do $$ begin
    if 2 > (
        select count(distinct a.attname) from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = current_setting('cloakroom.table')::regclass
            and a.attname in ('owner', 'sweep_hour')
    ) then
        raise exception 'another table''s index has the _owner or _sweep name of %; rename it',
            current_setting('cloakroom.table');
    end if;
end $$;
create table if not exists {version} (version integer not null);
insert into {version} select {VERSION} where not exists (select from {version});
commit;
"
    )
}

/// With backslashes that mean the same whatever the server's settings.
fn literal(text: &str) -> String {
    format!("e'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// Makes the tables, unless they are there.
///
/// They are looked for first: `create table if not exists` asks for the right to create one
/// even where it exists.
pub(crate) async fn migrate(connection: &mut PgConnection, table: &TableName) -> sqlx::Result<()> {
    if !is_current(connection, table).await? {
        raw_sql(AssertSqlSafe(migration(table)))
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn is_current(
    connection: &mut PgConnection,
    table: &TableName,
) -> sqlx::Result<bool> {
    let version = table.sibling("_version");
    let found = sqlx::query("select to_regclass($1) is not null and to_regclass($2) is not null")
        .bind(table.to_string())
        .bind(version.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if !found.try_get::<bool, _>(0)? {
        return Ok(false);
    }
    let newest = format!("select coalesce(max(version), 0) from {version}");
    let newest = sqlx::query(AssertSqlSafe(newest))
        .fetch_one(connection)
        .await?;
    Ok(newest.try_get::<i32, _>(0)? >= VERSION)
}

/// Drops what [`migration`] makes, and what an import has.
///
/// It waits for a migration that is under way, even one whose process has died: what that would
/// make afterwards nobody would drop.
pub(crate) async fn drop_tables(
    connection: &mut PgConnection,
    table: &TableName,
) -> sqlx::Result<()> {
    let [version, imported] = ["_version", "_imported"].map(|suffix| table.sibling(suffix));
    let sql = format!(
        "{BEGIN}
        drop table if exists {table}, {version}, {imported};
        commit"
    );
    raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
