use std::time::{Duration, Instant};

use cloakroom_store_api::{Lifetime, RECORD_LIMIT};
use cloakroom_store_postgres::TableName;
use futures_util::{TryStreamExt, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, error::DatabaseError,
    postgres::PgConnectOptions,
};
use tokio::time::timeout;

use crate::{
    exit::Failure,
    store::{DEADLINE, READ_ALL_DEADLINE, host},
};

/// The table of another framework, on its server.
pub(crate) struct Source {
    connection: PgConnection,
    table: TableName,
    server: String,
}

/// How many sessions a table has.
pub(crate) struct Counts {
    pub(crate) live: u64,
    pub(crate) expired: u64,
}

/// A live session, not yet decoded.
pub(crate) struct Row {
    pub(crate) id: String,
    /// `None` if it is larger than any that we would take.
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) remaining: Duration,
}

/// In bytes. As JSON a record may be shorter than it is there, where a number takes up to nine.
const DATA_LIMIT: i64 = 4 * RECORD_LIMIT as i64;

impl Source {
    /// Connects. The table is not yet looked at.
    pub(crate) async fn open(url: &str, table: TableName) -> Result<Self, Failure> {
        // The driver takes any scheme.
        let is_ours = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let options = url.parse::<PgConnectOptions>().ok();
        let Some(options) = options.filter(|_| is_ours) else {
            return Err(Failure::usage(
                "--from is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            ));
        };
        let server = host(url).unwrap_or("the PostgreSQL server").to_owned();
        let options = options.disable_statement_logging();
        match timeout(DEADLINE, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => Ok(Self {
                connection,
                table,
                server,
            }),
            Ok(Err(error)) => Err(failure(&server, &table, &error)),
            Err(_) => Err(late(&server)),
        }
    }

    pub(crate) async fn count(&mut self) -> Result<Counts, Failure> {
        let Self {
            connection,
            table,
            server,
        } = self;
        let sql = format!(
            "select count(*) filter (where expiry_date > statement_timestamp()),
                count(*) filter (where (expiry_date > statement_timestamp()) is not true)
            from {table}"
        );
        let counting = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(sql)).fetch_one(connection);
        match timeout(READ_ALL_DEADLINE, counting).await {
            Ok(Ok((live, expired))) => Ok(Counts {
                live: live.cast_unsigned(),
                expired: expired.cast_unsigned(),
            }),
            Ok(Err(error)) => Err(failure(server, table, &error)),
            Err(_) => Err(late(server)),
        }
    }

    /// Asks for the live sessions, in one statement: as they are when it begins, each once.
    pub(crate) fn live(&mut self) -> Live<'_> {
        let Self {
            connection,
            table,
            server,
        } = self;
        // A date may be infinite.
        let sql = format!(
            "select left(id::text, 100), case when octet_length(data) <= $1 then data end,
                case when isfinite(expiry_date)
                    then least(extract(epoch from expiry_date - statement_timestamp()) * 1000, $2)
                    else $2
                end::double precision
            from {table} where expiry_date > statement_timestamp()"
        );
        let rows = sqlx::query_as(AssertSqlSafe(sql))
            .bind(DATA_LIMIT)
            .bind(Lifetime::LIMIT.as_millis() as f64)
            .fetch(connection);
        Live {
            rows,
            started: Instant::now(),
            table,
            server,
        }
    }
}

/// Id, data and milliseconds until the expiry.
type Columns = (String, Option<Vec<u8>>, f64);

/// The live sessions of a table, one after the other.
pub(crate) struct Live<'a> {
    rows: BoxStream<'a, sqlx::Result<Columns>>,
    started: Instant,
    table: &'a TableName,
    server: &'a str,
}

impl Live<'_> {
    /// The next one; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, Failure> {
        let row = match timeout(READ_ALL_DEADLINE, self.rows.try_next()).await {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => return Err(failure(self.server, self.table, &error)),
            Err(_) => return Err(late(self.server)),
        };
        Ok(row.map(|(id, data, millis)| Row {
            id,
            data,
            // It was measured when the statement began, not before it was sent.
            remaining: Duration::from_millis(millis as u64).saturating_sub(self.started.elapsed()),
        }))
    }
}

fn failure(server: &str, table: &TableName, error: &sqlx::Error) -> Failure {
    let code = error.as_database_error().and_then(DatabaseError::code);
    match (code.as_deref(), error) {
        // No schema or table, or none with these columns and types.
        (Some("3F000" | "42P01" | "42703" | "42883"), _)
        | (_, sqlx::Error::ColumnDecode { .. }) => Failure::other(format_args!(
            "there is no table {table} of tower-sessions on {server} ({error}), \
                 name it by --from-table"
        )),
        (Some(code), _) if !is_temporary(code) => Failure::other(format_args!(
            "PostgreSQL refused ({error}); see that user, password, database and rights \
             in --from are right"
        )),
        _ => Failure::unreachable(format_args!(
            "{server} cannot be reached ({error}); see that it runs, and that --from names it"
        )),
    }
}

/// Whether it may go the next time, as the store sorts it: it starts or stops, or is full.
fn is_temporary(code: &str) -> bool {
    ["08", "53", "57", "58"]
        .iter()
        .any(|class| code.starts_with(class))
}

fn late(server: &str) -> Failure {
    Failure::unreachable(format_args!(
        "{server} does not answer; see that it is well, and that --from names it"
    ))
}
