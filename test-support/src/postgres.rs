use std::{
    env,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::process::Process;

/// A PostgreSQL server of a test's own, to be frozen, killed and started again.
///
/// It asks for no password, so that connections cost little. Its methods block. Dropped, it is killed and what it wrote is removed.
#[derive(Debug)]
pub struct Postgres {
    // Before the folder: it writes there until it is dropped.
    process: Process,
    folder: TempDir,
    port: u16,
}

const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
# A crash of the machine may take this data; one of the server does not.
fsync = off
full_page_writes = off
";

/// How long a server may take to start, to follow, to be promoted.
const PATIENCE: Duration = Duration::from_secs(30);

impl Postgres {
    /// Starts a server.
    #[must_use]
    pub fn start() -> Self {
        Self::start_as("")
    }

    /// Starts a server with settings of its own, which go before the usual ones.
    #[must_use]
    pub fn start_as(settings: &str) -> Self {
        let folder = folder();
        done(
            program("initdb")
                .arg("--pgdata")
                .arg(data(&folder))
                .args(["--username=cloakroom", "--auth=trust", "--no-sync"])
                .args(["--encoding=UTF8", "--locale=C"]),
        );
        append(&folder, SETTINGS);
        append(&folder, settings);
        Self::run(folder)
    }

    /// Starts another server that follows this one, and makes each commit wait for it.
    #[must_use]
    pub fn synchronous_standby(&self) -> Self {
        let folder = folder();
        done(
            program("pg_basebackup")
                .arg("--pgdata")
                .arg(data(&folder))
                .args(["--dbname", &self.url()])
                .args(["--write-recovery-conf", "--wal-method=stream"])
                .args(["--checkpoint=fast", "--no-sync"]),
        );
        let standby = Self::run(folder);
        append(&self.folder, "synchronous_standby_names = '*'\n");
        self.process.signal("HUP");
        until("the standby is waited for", || {
            self.answer("select sync_state from pg_stat_replication") == "sync"
        });
        standby
    }

    /// Makes a standby a server of its own.
    pub fn promote(&self) {
        assert_eq!(self.answer("select pg_promote()"), "t");
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at the same address, after it was killed.
    pub fn start_again(&mut self) {
        let began = Instant::now();
        // What was killed may hold on to its memory, or somebody has its port, for a moment.
        while began.elapsed() < PATIENCE {
            if let Some(process) = process(&self.folder, self.port) {
                self.process = process;
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL does not start again: {}", log(&self.folder));
    }

    /// Ends it as a new version's installation would, and starts it again at the same address.
    pub fn restart(&mut self) {
        self.process.signal("INT"); // its "fast" shutdown
        self.process.wait();
        self.start_again();
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The superuser's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The superuser's URL by way of another address.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("postgres://cloakroom@{address}/postgres")
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data(&self.folder)
    }

    /// What it answers to a query, as text.
    #[must_use]
    pub fn answer(&self, sql: &str) -> String {
        let text = done(
            program("psql")
                .arg(self.url())
                .args(["--no-align", "--tuples-only", "--no-psqlrc", "--command"])
                .arg(sql),
        );
        text.trim_end().into()
    }

    fn run(folder: TempDir) -> Self {
        for _ in 0..20 {
            let port = free_port();
            if let Some(process) = process(&folder, port) {
                return Self {
                    process,
                    folder,
                    port,
                };
            }
        }
        panic!("PostgreSQL does not start: {}", log(&folder));
    }
}

/// Starts it, and waits until it takes connections; `None` if it has ended instead.
fn process(folder: &TempDir, port: u16) -> Option<Process> {
    let log = fs::File::create(folder.path().join("log")).expect("the folder is ours");
    // Left behind by who was killed, it may say "ready".
    let _ = fs::remove_file(data(folder).join("postmaster.pid"));
    let mut process = Process::start(
        program("postgres")
            .arg("-D")
            .arg(data(folder))
            .arg("-p")
            .arg(port.to_string())
            .stderr(log),
    );
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if process.ended().is_some() {
            return None;
        }
        let state = fs::read_to_string(data(folder).join("postmaster.pid"));
        let state = state.unwrap_or_default();
        if state
            .lines()
            .nth(7)
            .is_some_and(|line| line.trim() == "ready")
        {
            return Some(process);
        }
        sleep(Duration::from_millis(10));
    }
    panic!("PostgreSQL takes no connections: {}", self::log(folder));
}

/// A folder that belongs to whom the server runs as.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("cloakroom-postgres-")
        .tempdir()
        .expect("a temporary folder");
    if let Some((user, group)) = somebody_else() {
        chown(folder.path(), Some(user), Some(group)).expect("root may");
    }
    folder
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

fn log(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("log")).unwrap_or_default()
}

fn append(folder: &TempDir, settings: &str) {
    let file = data(folder).join("postgresql.conf");
    let mut text = fs::read_to_string(&file).expect("initdb wrote it");
    write!(text, "\n{settings}").expect("strings take all");
    fs::write(file, text).expect("the folder is ours");
}

/// One of PostgreSQL's programs, which refuse to run as root.
fn program(name: &str) -> Command {
    let path = installation().join(name);
    let mut command = match somebody_else() {
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={user}"))
                .arg(format!("--regid={group}"))
                .arg("--clear-groups")
                .arg(path);
            command
        }
        None => Command::new(path),
    };
    command.current_dir("/").env("HOME", "/").env("LC_ALL", "C");
    command
}

/// The folder with all programs: Debian keeps those of each version outside of PATH.
fn installation() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path)
        // Where it is a link, the others are beside what it leads to.
        .filter_map(|folder| Some(folder.join("initdb").canonicalize().ok()?.parent()?.into()))
        .collect();
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path()))
        .collect();
    versions.sort_by_key(|version| number(version));
    folders.extend(versions.iter().rev().map(|version| version.join("bin")));
    let found = folders
        .into_iter()
        .find(|folder: &PathBuf| folder.join("postgres").is_file());
    found.expect("PostgreSQL's programs are missing; scripts/with-servers installs them")
}

fn number(version: &Path) -> u32 {
    let name = version.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// Whom the server runs as where we are root: their user and group.
fn somebody_else() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").expect("we run").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("there are users");
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let user = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = user.split(':').skip(2).map(str::parse);
        Some((ids.next()?.ok()?, ids.next()?.ok()?))
    })
}

/// Somebody else may take it before the server does, who then tries another.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn done(command: &mut Command) -> String {
    let output = command.output().expect("it is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        sleep(Duration::from_millis(20));
    }
}
