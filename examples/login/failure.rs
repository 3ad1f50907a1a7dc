use std::{
    error::Error,
    fmt::{self, Display},
    io,
    net::SocketAddr,
    process::ExitCode,
};

use cloakroom::{ConnectError, store};

use crate::users::OpenError;

/// Why the program does not run, in a sentence that says what to do, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    sentence: String,
}

// The names and numbers are those of BSD's sysexits.h.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;

impl Failure {
    pub(crate) fn of_sessions(error: &ConnectError) -> Self {
        let (code, sentence) = match error {
            ConnectError::Store(store::Error::Unavailable(cause)) => {
                let cause = chain(cause.as_ref());
                (
                    UNAVAILABLE,
                    format!("{cause}; end that program, or name another store with --store"),
                )
            }
            ConnectError::Store(store::Error::Backend(cause)) => {
                let cause = chain(cause.as_ref());
                (
                    SOFTWARE,
                    format!("{cause}; name a folder with --store that this program can write"),
                )
            }
            ConnectError::Store(_) => (SOFTWARE, chain(error)),
            _ => (USAGE, format!("--store: {}", chain(error))),
        };
        Self { code, sentence }
    }

    pub(crate) fn of_users(error: &OpenError) -> Self {
        let (code, remedy) = match error {
            OpenError::InUse(_) => (
                UNAVAILABLE,
                "end that program, or name another folder with --users",
            ),
            _ => (
                SOFTWARE,
                "name a folder with --users that this program can write",
            ),
        };
        Self {
            code,
            sentence: format!("{}; {remedy}", chain(error)),
        }
    }

    pub(crate) fn of_address(address: SocketAddr, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; end the program that serves there, or choose another port with --listen"
            }
            _ => "; choose another address with --listen",
        };
        Self {
            code: SOFTWARE,
            sentence: format!("cannot serve on {address}: {error}{remedy}"),
        }
    }

    pub(crate) fn other(error: &io::Error) -> Self {
        Self {
            code: SOFTWARE,
            sentence: chain(error),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code.into()
    }

    /// clap's answers are errors too when they are what was asked for, as with `--help`.
    pub(crate) fn exit_code_of(answer: &clap::Error) -> ExitCode {
        match answer.use_stderr() {
            true => USAGE.into(),
            false => ExitCode::SUCCESS,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let messages: Vec<_> = causes.map(ToString::to_string).collect();
    messages.join(": ")
}
