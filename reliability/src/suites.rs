//! Tests of other packages that are run at full size, and whose figures are on the page.

mod list;

use std::process::Command;

/// What tests in several places try.
#[derive(Debug)]
pub struct Suite {
    /// By what it is called.
    pub name: &'static str,
    /// What it tries, in a sentence.
    pub about: &'static str,
    /// The tests, which print their figures last.
    pub tests: &'static [Test],
}

/// A test of a package.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// What is tried; the first word is a store, `middleware`, `fuzz`, or `broken:` where
    /// something has to be found.
    pub store: &'static str,
    package: &'static str,
    name: &'static str,
    /// What it takes as `CLOAKROOM_ROUNDS`, if it does.
    rounds: Option<u32>,
}

impl Suite {
    /// All there are.
    pub const ALL: &[Self] = list::ALL;
}

/// In a store's place, for tests of the middleware, and of what all stores share.
const MIDDLEWARE: &str = "middleware";

/// Whether there are tests in this store's place only, and no store.
#[must_use]
pub fn is_no_store(place: &str) -> bool {
    [MIDDLEWARE, FUZZ].contains(&place)
}

/// In a package's place, for a target of `scripts/fuzz`.
const FUZZ: &str = "fuzz";

/// In a package's place, for a test of two processes that `scripts/upgrade` runs.
const UPGRADE: &str = "upgrade";

impl Test {
    const fn of(store: &'static str, package: &'static str, name: &'static str) -> Self {
        let rounds = None;
        Self {
            store,
            package,
            name,
            rounds,
        }
    }

    const fn rounds(self, rounds: u32) -> Self {
        let rounds = Some(rounds);
        Self { rounds, ..self }
    }

    /// The first word of what is tried.
    #[must_use]
    pub fn place(&self) -> &'static str {
        let place = self.store.split([' ', ',', ':']).next();
        match place.expect("there is a first word") {
            "the" => MIDDLEWARE,
            place => place,
        }
    }

    /// What runs it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = match self.package {
            FUZZ => Command::new("scripts/fuzz"),
            UPGRADE => Command::new("scripts/upgrade"),
            _ => Command::new("cargo"),
        };
        match self.package {
            FUZZ | UPGRADE => command.arg(self.name),
            package => command
                .args(["nextest", "run", "--all-features", "--no-capture"])
                .args(["--package", package])
                .args(["--filterset", &format!("test(={})", self.name)]),
        };
        if let Some(rounds) = self.rounds {
            command.env("CLOAKROOM_ROUNDS", rounds.to_string());
        }
        command
    }
}
