//! The application's processes.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use cloakroom_test_support::Process;
use tokio::time::sleep;

/// A process of the application, which can be killed and started again.
#[derive(Debug)]
pub(crate) struct Node {
    /// What follows the program's name.
    arguments: Vec<String>,
    /// By how much its calendar is wrong, for libfaketime.
    clock: PathBuf,
    running: Mutex<Option<(Process, SocketAddr)>>,
}

impl Node {
    /// Starts one on a store, perhaps one that is wrong on purpose.
    pub(crate) fn start(store: &str, wrong: bool, clock: PathBuf) -> Self {
        let mut arguments = vec!["app".to_owned(), store.to_owned()];
        arguments.extend(wrong.then(|| "--wrong".to_owned()));
        let node = Self {
            arguments,
            clock,
            running: Mutex::default(),
        };
        node.set_clock(0);
        node.start_again();
        node
    }

    pub(crate) fn start_again(&self) {
        let (reader, writer) = std::io::pipe().expect("pipes can be made");
        let mut command = Command::new(env::current_exe().expect("this program is a file"));
        command
            .args(&self.arguments)
            .stdout(writer)
            .stderr(Stdio::inherit());
        if let Some(library) = libfaketime() {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", &self.clock)
                .env("FAKETIME_CACHE_DURATION", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let process = Process::start(&mut command);
        drop(command);
        let mut line = String::new();
        BufReader::new(reader)
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line.trim().parse().expect("an address");
        *self.running.lock().expect("nobody panicked") = Some((process, address));
    }

    /// Where it listens; `None` while it is dead.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let running = self.running.lock().expect("nobody panicked");
        running.as_ref().map(|(_, address)| *address)
    }

    pub(crate) fn kill(&self) {
        let running = self.running.lock().expect("nobody panicked").take();
        if let Some((mut process, _)) = running {
            process.kill();
        }
    }

    /// Stops it where it is, for so long.
    pub(crate) async fn freeze(&self, time: Duration) {
        let signal = |name| {
            let running = self.running.lock().expect("nobody panicked");
            if let Some((process, _)) = &*running {
                process.signal(name);
            }
        };
        signal("STOP");
        sleep(time).await;
        signal("CONT");
    }

    /// Puts its calendar so many seconds ahead.
    pub(crate) fn set_clock(&self, seconds: i64) {
        fs::write(&self.clock, format!("{seconds:+}\n")).expect("the folder is ours");
    }

    /// How much of the machine's memory it has, in MiB.
    pub(crate) fn memory(&self) -> Option<f64> {
        let running = self.running.lock().expect("nobody panicked");
        let (process, _) = running.as_ref()?;
        let status = fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

/// Debian's.
fn libfaketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let mut libraries = folders.filter_map(|folder| {
        let library = folder.ok()?.path().join("faketime/libfaketimeMT.so.1");
        Path::exists(&library).then_some(library)
    });
    libraries.next()
}

/// Whether clocks can be turned here.
pub(crate) fn has_clocks() -> bool {
    libfaketime().is_some()
}
