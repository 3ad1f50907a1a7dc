use std::fmt;

use sqlx::{PgConnection, Row, raw_sql};

use crate::config::TableName;

/// The right to be a table's only sweeper; see [`PostgresStore::sweep_lock`].
///
/// It has a connection of its own. Dropped, it closes it, and the server gives the right to the
/// next who asks; so it does when the process dies.
///
/// [`PostgresStore::sweep_lock`]: crate::PostgresStore::sweep_lock
#[must_use = "the lock is held until this is dropped"]
pub struct SweepLock {
    _connection: PgConnection,
}

impl SweepLock {
    /// `None` if somebody else has it.
    ///
    /// It belongs to a transaction, not to the session: a session's lock would stay behind in
    /// PgBouncer's pool. Between statements that transaction has no snapshot, so that it keeps
    /// no vacuum from its work however long it lasts; at a higher isolation level it would. From
    /// PostgreSQL 17 on there is one more limit of how long that may be.
    pub(crate) async fn take(
        mut connection: PgConnection,
        table: &TableName,
    ) -> sqlx::Result<Option<Self>> {
        raw_sql(
            "begin isolation level read committed;
            select set_config(name, '0', true) from pg_settings
            where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')",
        )
        .execute(&mut connection)
        .await?;
        // A lock is of one database. In it the table's number names it whatever schema it was
        // looked up in.
        let row = sqlx::query(
            "select pg_try_advisory_xact_lock(
                (x'73776565'::bigint << 32) | $1::text::regclass::oid::bigint
            )",
        )
        .bind(table.to_string())
        .fetch_one(&mut connection)
        .await?;
        let is_ours: bool = row.try_get(0)?;
        Ok(is_ours.then_some(Self {
            _connection: connection,
        }))
    }
}

impl fmt::Debug for SweepLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SweepLock")
    }
}
