use std::time::Duration;

use cloakroom_store_api::{Error, SessionId};
use redis::{ErrorKind, RedisError};

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
    match error.kind() {
        ErrorKind::AuthenticationFailed => return Error::backend(Failure::Refused(error)),
        // A failover may be on its way.
        ErrorKind::MasterNameNotFoundBySentinel => {
            return Error::unavailable(Failure::NoMaster(error));
        }
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => return Error::unavailable(error),
        _ => {}
    }
    match code(&error).to_owned().as_str() {
        "WRONGTYPE" => match about {
            About::Session(id) => Error::corrupt(id, error),
            About::Store => Error::backend(error),
        },
        "NOAUTH" | "WRONGPASS" => Error::backend(Failure::Refused(error)),
        "NOPERM" => Error::backend(Failure::Forbidden(error)),
        "READONLY" => Error::unavailable(Failure::ReadOnly(error)),
        "OOM" => Error::unavailable(Failure::Full(error)),
        // It cannot write to its disk, lacks replicas, or runs somebody's script.
        "MISCONF" | "NOREPLICAS" | "BUSY" => Error::unavailable(error),
        "LOADING" | "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" => Error::unavailable(error),
        // The client follows these, and gives up if they lead in circles.
        "MOVED" | "ASK" if in_cluster => Error::unavailable(error),
        "MOVED" | "ASK" | "CROSSSLOT" => Error::backend(Failure::Cluster(error)),
        _ if says(&error, "max number of clients") => Error::unavailable(error),
        _ if says(&error, "The user executing the script can't") => {
            Error::backend(Failure::Forbidden(error))
        }
        _ => Error::backend(error),
    }
}

/// The word by which a server says what is wrong.
///
/// Redis before 7 hides that of an error inside a script in its text, after where it happened:
/// `ERR Error running script (call to f_…): @user_script:1: @user_script: 1: -OOM command not …`.
pub(crate) fn code(error: &RedisError) -> &str {
    let code = error.code().unwrap_or_default();
    let in_script = error
        .detail()
        .filter(|detail| code == "ERR" && detail.starts_with("Error running script"));
    let hidden = in_script.and_then(|detail| {
        let mut words = detail.split(": ").filter_map(|part| part.split(' ').next());
        words.find_map(|word| {
            let word = word.strip_prefix('-').unwrap_or(word);
            let is_code = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
            is_code.then_some(word)
        })
    });
    hidden.unwrap_or(code)
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

    /// As Redis 6.2 says it from inside a script, and later ones.
    const IN_SCRIPT: [&str; 2] = [
        "ERR Error running script (call to f_5a): @user_script:3: @user_script: 3: -",
        "",
    ];

    #[test]
    fn a_server_that_cannot_write_is_unavailable() {
        for (line, advice) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                "raise maxmemory",
            ),
            (
                "READONLY You can't write against a read only replica.",
                "is a replica",
            ),
            (
                "MISCONF Errors writing to the AOF file: No space left on device",
                "",
            ),
            ("NOREPLICAS Not enough good replicas to write.", ""),
        ] {
            for before in IN_SCRIPT {
                let line = format!("{before}{line}");
                let Error::Unavailable(cause) = sorted(said(&line), About::Store, false) else {
                    panic!("{line}");
                };
                assert!(cause.to_string().contains(advice), "{cause}");
            }
        }
    }

    #[test]
    fn a_key_of_another_type_is_corrupt() {
        for line in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR Error running script (call to f_5a): @user_script:1: WRONGTYPE Operation against",
        ] {
            let about = About::Session(SessionId::from_bytes([1; 16]));
            let sorted = sorted(said(line), about, false);
            assert!(matches!(sorted, Error::Corrupt { .. }), "{line}");
        }
    }

    #[test]
    fn a_user_without_rights_is_told_so() {
        for line in [
            "NOPERM this user has no permissions to run the 'set' command",
            "ERR The user executing the script can't run this command or subcommand script: 5a",
            "ERR Error running script (call to f_5a): @user_script:1: @user_script: 1: The user \
             executing the script can't run this command or subcommand",
        ] {
            let Error::Backend(cause) = sorted(said(line), About::Store, false) else {
                panic!("{line}");
            };
            assert!(cause.to_string().contains("ACL SETUSER"), "{cause}");
        }
    }

    #[test]
    fn what_a_script_does_wrong_is_no_code_of_the_servers() {
        let before = IN_SCRIPT[0].trim_end_matches('-');
        let line = format!("{before}Wrong number of args calling Redis command");
        assert_eq!(code(&said(&line)), "ERR");
    }
}
