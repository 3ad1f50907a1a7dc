use std::{
    error::Error,
    fmt::{self, Display},
    io::{self, Write},
    iter,
    process::ExitCode,
};

/// How a command that did not fail ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is done.
    Done,
    /// A sweep or an import was stopped before it had seen everything.
    MoreLeft,
    /// Somebody who only wanted to be told was told no, such as by `check`.
    NotRight,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::MoreLeft => 3,
            Outcome::NotRight => 70,
        })
    }
}

/// Why a command ends early: one sentence for the person at the terminal, which says what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    sentence: String,
}

impl Failure {
    /// Another sweeper holds the lock.
    pub(crate) fn locked(sentence: impl Display) -> Self {
        Self::new(4, &sentence)
    }

    /// The command line is wrong.
    pub(crate) fn usage(sentence: impl Display) -> Self {
        Self::new(64, &sentence)
    }

    /// The store cannot be reached.
    pub(crate) fn unreachable(sentence: impl Display) -> Self {
        Self::new(69, &sentence)
    }

    /// Anything else.
    pub(crate) fn other(sentence: impl Display) -> Self {
        Self::new(70, &sentence)
    }

    /// Somebody has asked a trial to stop.
    pub(crate) fn stopped() -> Self {
        Self::other("stopped by a signal; run it again")
    }

    /// The store is in use by somebody who alone can use it.
    pub(crate) fn in_use(sentence: impl Display) -> Self {
        Self::new(75, &sentence)
    }

    fn new(code: u8, sentence: &dyn Display) -> Self {
        // Servers may answer in paragraphs.
        let sentence = sentence.to_string();
        let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { code, sentence }
    }

    /// Says it, and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        // Nobody is left to tell if stderr cannot be written.
        let _ = writeln!(io::stderr(), "cloakroom: {self}");
        ExitCode::from(self.code)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<io::Error> for Failure {
    /// What went wrong with the report.
    fn from(error: io::Error) -> Self {
        Self::other(format_args!("the report cannot be written: {error}"))
    }
}

/// An error's causes, from the outside in; the error itself says only of which kind they are.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    for cause in iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        // Drivers repeat what caused their errors.
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    match text.is_empty() {
        true => error.to_string(),
        false => text,
    }
}
