use std::time::Duration;

use cloakroom_store_api::{Record, SessionId};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{
    config::TableName,
    lane::{self, Answers, Call, Lane},
    load::record,
    shared::Shared,
    sql::{Id, Statements},
};

/// Reads all live sessions of an owner.
pub(crate) struct List(pub(crate) String);

/// Ends all live sessions of an owner but one.
pub(crate) struct ExpireOwner {
    pub(crate) owner: String,
    pub(crate) except: Option<SessionId>,
}

pub(crate) fn list_sql(table: &TableName) -> String {
    format!(
        "select s.id, s.revision, s.created_at, s.expires_at, statement_timestamp(), s.payload
        from {table} s where s.owner = $1 and s.expires_at > statement_timestamp()
        order by s.created_at desc, s.id desc"
    )
}

impl Call for List {
    type Answer = Vec<Record>;

    const MOST: usize = 1;
    const AT_ONCE: usize = 2;
    const WRITES: bool = false;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.lists
    }

    fn id(&self) -> Option<SessionId> {
        None
    }

    async fn run(
        calls: &[&Self],
        _: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<Self::Answer> {
        let Self(owner) = calls[0];
        let rows = sqlx::query(AssertSqlSafe(sql.list.clone()))
            .bind(owner)
            .fetch_all(connection)
            .await?;
        let mut records = Vec::new();
        for row in &rows {
            // Who cannot be read is left out.
            records.extend(record(row)?.ok());
        }
        Ok(vec![Ok(records)])
    }
}

/// The rows are locked first, in one order, and found again by their owner: found again by
/// their ids, a session that was rotated while the locks were waited for would escape.
pub(crate) fn expire_sql(table: &TableName) -> String {
    format!(
        "with held as materialized (
            select s.id from {table} s, (select set_config('lock_timeout', $3, true)) brief
            where s.owner = $1 order by s.id for update of s
        ), ended as (
            delete from {table} s
            where s.owner = $1 and s.id is distinct from $2 and (select count(*) from held) >= 0
            returning s.expires_at > clock_timestamp() as live
        )
        select count(*) from ended where live"
    )
}

impl Call for ExpireOwner {
    type Answer = u64;

    const MOST: usize = 1;
    const AT_ONCE: usize = 2;
    const WRITES: bool = true;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.owners
    }

    fn id(&self) -> Option<SessionId> {
        None
    }

    async fn run(
        calls: &[&Self],
        lock: Duration,
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> Answers<u64> {
        let Self { owner, except } = calls[0];
        let row = sqlx::query(AssertSqlSafe(sql.expire_owner.clone()))
            .bind(owner)
            .bind(except.map(Id))
            .bind(lane::timeout(lock))
            .fetch_one(connection)
            .await?;
        let ended: i64 = row.try_get(0)?;
        Ok(vec![Ok(ended.cast_unsigned())])
    }
}
