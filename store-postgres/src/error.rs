use std::{sync::Arc, time::Duration};

use cloakroom_store_api::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::config::TableName;

/// What can be wrong beside what sqlx says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the URL is not of the form postgres://user:password@host:port/database")]
    Url,

    #[error("there is no table {0}; PostgresStore::migrate makes it")]
    NoTable(TableName, #[source] sqlx::Error),

    #[error(
        "a connection has prepared statements of somebody else; a pooler that lends connections \
        for a transaction has to keep them apart (PgBouncer: from 1.21, max_prepared_statements)"
    )]
    Pooler(#[source] sqlx::Error),

    #[error("no answer within {0:?}")]
    Late(Duration),

    #[error("the call was given up: it has panicked, or its runtime has ended")]
    Ended,

    #[error("what the call shared with others failed")]
    Shared(#[source] Arc<sqlx::Error>),
}

/// Sorts what sqlx says by what its caller can do.
pub(crate) fn sorted(error: sqlx::Error, table: &TableName) -> Error {
    match code(&error).as_deref() {
        Some("42P01") => Error::backend(Failure::NoTable(table.clone(), error)),
        Some("42P05") => Error::backend(Failure::Pooler(error)),
        Some(code) if is_temporary(code) => Error::unavailable(error),
        Some(_) => Error::backend(error),
        None if is_about_the_way(&error) => Error::unavailable(error),
        None => Error::backend(error),
    }
}

/// What the server itself reported. It has not done what it was asked to then.
pub(crate) fn code(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.code().map(|code| code.into_owned())
}

/// Whether the connection is of no use any more.
///
/// After `25006` it could be used, but it leads to a standby, and the next one may not.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let Some(error) = error.and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return true;
    };
    let code = error.code();
    // It has ended the session.
    matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
        || is_connections_own(code)
        || code.starts_with("57P")
        || code.starts_with("08")
        || code == "25006"
}

/// Whether somebody else was in the way, who may be gone the next time.
pub(crate) fn is_collision(code: &str) -> bool {
    // Deadlock, serialization failure (where that is the role's isolation level).
    ["40P01", "40001"].contains(&code)
}

/// Whether the statement was not run, for a reason that another connection does not have: a
/// prepared statement that the server has forgotten, or planned for another table, and a
/// connection that was ended before.
pub(crate) fn is_connections_own(code: &str) -> bool {
    ["26000", "0A000", "57P01", "57P02"].contains(&code)
}

/// There is a row of that key already.
pub(crate) const DUPLICATE: &str = "23505";

/// A lock was not to be had in time.
pub(crate) const LOCKED: &str = "55P03";

fn is_temporary(code: &str) -> bool {
    // Connection, transaction rollback, resources, operator intervention, system error; a lock,
    // a standby, limits of a transaction's time.
    ["08", "40", "53", "57", "58"].contains(&&code[..2])
        || [LOCKED, "25006", "25P03", "25P04"].contains(&code)
}

/// The error of one of many calls that shared a statement.
pub(crate) fn shared(error: &Arc<sqlx::Error>) -> Error {
    let cause = Failure::Shared(Arc::clone(error));
    let is_temporary = code(error).is_some_and(|code| is_temporary(&code));
    if is_temporary || is_about_the_way(error) {
        Error::unavailable(cause)
    } else {
        Error::backend(cause)
    }
}

/// Whether it was the way to the server that failed.
///
/// A connection that ends before the server's first byte is a protocol error to sqlx: so it looks
/// behind a balancer whose servers are all away.
pub(crate) fn is_about_the_way(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
    )
}

pub(crate) fn late(deadline: Duration) -> Error {
    Error::unavailable(Failure::Late(deadline))
}

pub(crate) fn ended() -> Error {
    Error::unavailable(Failure::Ended)
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    /// What sqlx makes of an error that a server has with this severity and code.
    async fn reported(severity: &str, code: &str) -> sqlx::Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fields = format!("S{severity}\0V{severity}\0C{code}\0Mit is over\0\0");
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        let message = [b"E", &length[..], fields.as_bytes()].concat();
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await?;
            client.write_all(&message).await
        });
        let url = format!("postgres://ann@{address}/x?sslmode=disable");
        PgConnection::connect(&url).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_session_that_the_server_has_ended_is_lost() {
        for (severity, code, lost) in [
            ("FATAL", "25P04", true),
            ("FATAL", "XX000", true),
            ("PANIC", "53100", true),
            ("ERROR", "53100", false),
            ("ERROR", "57P01", true),
        ] {
            let error = reported(severity, code).await;
            assert_eq!(is_lost(&error), lost, "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_timeout_of_transactions_is_temporary() {
        for code in ["25P03", "25P04"] {
            let error = sorted(reported("FATAL", code).await, &TableName::default());
            assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        }
    }
}
