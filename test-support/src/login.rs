use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::SystemTime,
};

/// The example `login` as a process of its own, serving. Dropping it is `kill -9`.
#[derive(Debug)]
pub struct Login {
    child: Child,
    address: String,
    greeting: String,
}

impl Login {
    /// Serves on a free port, with sessions and users in memory unless the flags say otherwise.
    #[must_use]
    pub fn start(flags: &[&str]) -> Self {
        Self::spawn(Self::command().args(["--store", "memory:"]).args(flags))
    }

    /// Serves on a free port, with sessions and users in a folder.
    #[must_use]
    pub fn start_in(folder: &Path) -> Self {
        let sessions = format!("sled:{}", folder.join("sessions").display());
        Self::spawn(Self::command().args(["--store", &sessions]))
    }

    /// As [`start`](Self::start), with every feature that the example has.
    #[must_use]
    pub fn start_with_all_features(flags: &[&str]) -> Self {
        let mut command = quiet(&program(EVERY_FEATURE));
        Self::spawn(command.args(["--store", "memory:"]).args(flags))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut greeting)
            .expect("it greets");
        let address = greeting
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .unwrap_or_else(|| panic!("no address in {greeting:?}"))
            .to_owned();
        Self {
            child,
            address,
            greeting,
        }
    }

    /// Where it serves, as `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it said when it began to serve.
    #[must_use]
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Sends a signal, such as `"TERM"`, and waits for its end.
    #[must_use]
    pub fn signal(mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("there is a kill").success());
        self.child.wait().expect("it is our child")
    }

    /// The program, with no flags yet.
    #[must_use]
    pub fn command() -> Command {
        quiet(&program(ANY_FEATURES))
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quiet(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG");
    command
}

/// A source of every build.
const ANY_FEATURES: &str = "login/main.rs";

/// A source of builds with all features.
const EVERY_FEATURE: &str = "login/routes/metrics.rs";

/// The example as it is now, beside the test that runs, built from this source among others.
///
/// Cargo builds examples with `cargo test`, but not with `cargo test --test NAME`, and for the
/// tests of another package not at all.
fn program(source: &str) -> PathBuf {
    let test = env::current_exe().expect("a test is a program");
    let profile = test.parent().and_then(Path::parent);
    let profile = profile.expect("tests are in `deps` of a profile's folder");
    let program = profile.join("examples/login");
    if !is_fresh(&program, source) {
        build(profile);
    }
    program
}

/// Whether nothing is newer that Cargo says it was built from.
fn is_fresh(program: &Path, source: &str) -> bool {
    let changed = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let sources = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let Some((built, (_, sources))) = changed(program).zip(sources.split_once(": ")) else {
        return false;
    };
    let mut sources = sources.split_whitespace();
    let is_old = |path: &str| changed(Path::new(path)).is_some_and(|changed| changed <= built);
    sources.clone().any(|path| path.ends_with(source)) && sources.all(is_old)
}

fn build(profile: &Path) {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--all-features"]);
    build.args(["--package", "cloakroom-login", "--example", "login"]);
    build.args([
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"),
    ]);
    let target = profile.parent().expect("a profile is in the target folder");
    build.arg("--target-dir").arg(target);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let built = build.status().expect("Cargo runs");
    assert!(built.success(), "the example builds");
}
