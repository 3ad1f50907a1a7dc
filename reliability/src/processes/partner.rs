use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::{Answer, Order};
use crate::target::Kind;

/// The other process.
#[derive(Debug)]
pub struct Partner {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Partner {
    /// Starts it on a store. It is `program` unless `CLOAKROOM_PARTNER` names another.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: impl AsRef<Path>, kind: Kind, place: &str) -> Self {
        let other = env::var_os("CLOAKROOM_PARTNER");
        let program = other.as_ref().map_or(program.as_ref(), Path::new);
        let started = Command::new(program)
            .args(["partner", &kind.to_string(), place])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process =
            started.unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        Self {
            orders: process.stdin.take().expect("it is piped"),
            answers: BufReader::new(process.stdout.take().expect("it is piped")),
            process,
        }
    }

    /// Has it begin, without waiting.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn tell(&mut self, order: &Order) {
        let mut line = serde_json::to_string(order).expect("an order is JSON");
        line.push('\n');
        let told = self.orders.write_all(line.as_bytes());
        told.expect("the partner listens");
    }

    /// Waits for what became of it.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn answer(&mut self) -> Answer {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.expect("the partner answers");
        serde_json::from_str(&line).expect("the partner has not ended")
    }

    /// Has it do something, and waits.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn does(&mut self, order: &Order) -> Answer {
        self.tell(order);
        self.answer()
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // Both may fail: it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
