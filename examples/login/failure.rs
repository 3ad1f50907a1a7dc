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
    pub(crate) fn of_sessions(url: &str, error: &ConnectError) -> Self {
        let is_folder = url.starts_with("sled:");
        let (code, cause, remedy) = match error {
            ConnectError::Store(store::Error::Unavailable(cause)) => {
                let remedy = match is_folder {
                    true => "end that program, or name another store with --store",
                    false => "start that server, or name another store with --store",
                };
                (UNAVAILABLE, cause, remedy)
            }
            ConnectError::Store(store::Error::Backend(cause)) => {
                let remedy = match is_folder {
                    true => "name a folder with --store that this program can write",
                    false => "correct the URL after --store, or what the server allows",
                };
                (SOFTWARE, cause, remedy)
            }
            ConnectError::Store(_) => return Self::new(SOFTWARE, chain(error)),
            _ => return Self::new(USAGE, format!("--store: {}", chain(error))),
        };
        Self::new(code, format!("{}; {remedy}", chain(cause.as_ref())))
    }

    fn new(code: u8, sentence: String) -> Self {
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

    pub(crate) fn other(error: &dyn Error) -> Self {
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

/// The error and its causes, without those that the message before has said already.
fn chain(error: &dyn Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |error| (*error).source()) {
        let message = error.to_string();
        if messages.last().is_none_or(|said| !said.ends_with(&message)) {
            messages.push(message);
        }
    }
    messages.join(": ")
}
