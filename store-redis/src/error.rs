use std::time::Duration;

use cloakroom_store_api::{Error, SessionId};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What can be wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the URL is not of a form that RedisStore::connect knows: {0}")]
    Url(&'static str),

    #[error("the server refuses the user or the password")]
    Refused(#[source] RedisError),

    #[error("the user may not run this command or use these keys; grant it by ACL SETUSER")]
    Forbidden(#[source] RedisError),

    #[error("the server is a replica and takes no writes; name the master, or use redis+sentinel:")]
    ReadOnly(#[source] RedisError),

    #[error("the server has no memory left; raise maxmemory")]
    Full(#[source] RedisError),

    #[error("the server is a node of a cluster; use redis+cluster:")]
    Cluster(#[source] RedisError),

    #[error("the Sentinels know no master of this name that is up")]
    NoMaster(#[source] RedisError),

    #[error("no answer within {0:?}")]
    Late(Duration),

    #[error(
        "the connection was lost, and whether this was stored before somebody else's save is unknown"
    )]
    Unclear,

    #[error("the call was given up: its task panicked, or its runtime has ended")]
    Ended,

    #[error("what is stored under the session's key is no record of it")]
    Unreadable,
}

/// What a failed command was about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Session(SessionId),
    Store,
}

/// Sorts what redis says by what its caller can do.
pub(crate) fn sorted(error: RedisError, about: About, in_cluster: bool) -> Error {
    let code = error.code().map(str::to_owned).unwrap_or_default();
    if is_wrong_type(&error) {
        return match about {
            About::Session(id) => Error::corrupt(id, error),
            About::Store => Error::backend(error),
        };
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => Error::backend(Failure::Refused(error)),
        // A failover may be on its way.
        ErrorKind::MasterNameNotFoundBySentinel => Error::unavailable(Failure::NoMaster(error)),
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Error::unavailable(error),
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::ReadOnly => Error::unavailable(Failure::ReadOnly(error)),
            ServerErrorKind::NoPerm => Error::backend(Failure::Forbidden(error)),
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::TryAgain => Error::unavailable(error),
            // The client follows these, and gives up if they lead in circles.
            ServerErrorKind::Moved | ServerErrorKind::Ask if in_cluster => {
                Error::unavailable(error)
            }
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot => {
                Error::backend(Failure::Cluster(error))
            }
            // Before Redis 7, from inside a script.
            _ if says(&error, "OOM command") => Error::unavailable(Failure::Full(error)),
            _ if says(&error, "max number of clients") => Error::unavailable(error),
            _ => Error::backend(error),
        },
        _ => match code.as_str() {
            "NOAUTH" | "WRONGPASS" => Error::backend(Failure::Refused(error)),
            "OOM" => Error::unavailable(Failure::Full(error)),
            // It cannot write to its disk, lacks replicas, or runs somebody's script.
            "MISCONF" | "NOREPLICAS" | "BUSY" => Error::unavailable(error),
            _ => Error::backend(error),
        },
    }
}

/// Redis before 7 hides the code of an error inside a script in its text.
fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE") || says(error, "WRONGTYPE")
}

fn says(error: &RedisError, words: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(words))
}

pub(crate) fn late(deadline: Duration) -> RedisError {
    let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, Failure::Late(deadline));
    RedisError::from(cause)
}

/// As [`late`], of a call that was not sent.
pub(crate) fn too_late(deadline: Duration) -> Error {
    Error::unavailable(Failure::Late(deadline))
}

pub(crate) fn unclear() -> Error {
    Error::unavailable(Failure::Unclear)
}

pub(crate) fn ended() -> Error {
    Error::unavailable(Failure::Ended)
}

pub(crate) fn unreadable(id: SessionId) -> Error {
    Error::corrupt(id, Failure::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> RedisError {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        reply.extract_error().unwrap_err()
    }

    #[test]
    fn a_server_without_memory_is_unavailable_and_says_what_to_do() {
        for line in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            // From inside a script, before Redis 7.
            "ERR Error running script (call to f_5a): @user_script:3: -OOM command not allowed \
             when used memory > 'maxmemory'.",
        ] {
            let Error::Unavailable(cause) = sorted(said(line), About::Store, false) else {
                panic!("{line}");
            };
            assert!(cause.to_string().contains("raise maxmemory"), "{cause}");
        }
    }
}
