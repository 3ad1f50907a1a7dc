//! The program as a child process.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::LazyLock,
    time::SystemTime,
};

use crate::browser::Browser;

/// A running server; dropping it is `kill -9`.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// What it said when it began to serve.
    pub(crate) greeting: String,
}

impl Server {
    /// With sessions and users in memory.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::spawn(login(&["--store", "memory:"]).args(flags))
    }

    /// With sessions and users in a folder.
    pub(crate) fn start_in(folder: &Path) -> Self {
        Self::spawn(&mut login(&["--store", &sled(folder)]))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut greeting)
            .unwrap();
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

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.address)
    }

    pub(crate) fn signal(mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The URL of a store in this folder.
pub(crate) fn sled(folder: &Path) -> String {
    format!("sled:{}", folder.join("sessions").display())
}

/// What the program says when it does not serve.
pub(crate) fn refused(flags: &[&str]) -> Output {
    login(flags).output().unwrap()
}

fn login(flags: &[&str]) -> Command {
    let mut command = Command::new(&*PROGRAM);
    command.args(flags).env_remove("RUST_LOG");
    command
}

/// The example as it is now, beside this test.
///
/// Cargo builds examples with `cargo test`, but not with `cargo test --test login`.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples/login");
    if !is_fresh(&program) {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "login", "--all-features"]);
        build.args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ]);
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the example builds");
    }
    program
});

/// Whether nothing is newer that Cargo says it was built from.
fn is_fresh(program: &Path) -> bool {
    let changed = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let sources = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let Some((built, (_, sources))) = changed(program).zip(sources.split_once(": ")) else {
        return false;
    };
    sources
        .split_whitespace()
        .all(|source| changed(Path::new(source)).is_some_and(|changed| changed <= built))
}
