//! Stores with sessions that have ended, and the program.

use std::{
    env,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use cloakroom_store_api::{Lifetime, ManualClock, Record, Saved, SessionStore, SessionToken};
use cloakroom_store_postgres::{PostgresStore, TableName};
use cloakroom_store_sled::SledStore;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// The URL of the server for tests.
pub(crate) fn server() -> String {
    env::var("CLOAKROOM_TEST_POSTGRES_URL")
        .expect("CLOAKROOM_TEST_POSTGRES_URL names a server; scripts/with-servers sets it")
}

/// The program, not yet started, without a terminal and without a store.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command
        .args(arguments)
        .env_remove("CLOAKROOM_STORE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The only line of stdout.
    pub(crate) fn object(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    program(arguments).output().unwrap().into()
}

/// Sends SIGTERM.
pub(crate) fn terminate(child: &Child) {
    let mut kill = Command::new("kill");
    kill.args(["-TERM", &child.id().to_string()]);
    assert!(kill.status().unwrap().success());
}

/// A table of a test's own.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) store: PostgresStore,
}

impl Table {
    pub(crate) async fn new() -> Self {
        let name = format!("program_{:032x}", fastrand::u128(..));
        let table: TableName = name.parse().unwrap();
        let store = PostgresStore::builder(&server())
            .table(table)
            .connect()
            .await
            .unwrap();
        store.migrate().await.unwrap();
        Self { name, store }
    }

    /// Adds sessions that have ended two to twelve hours ago, and a tenth as many live ones.
    pub(crate) async fn fill(&self, dead: u32) {
        let sql = format!(
            "insert into {} select gen_random_uuid(), 1, ends - interval '1 hour', ends,
                ceil(extract(epoch from ends) / 3600)::integer, 1800000, 43200000, 0, null, '\\x00'
            from generate_series(1, {dead} + {dead} / 10) i,
                lateral (select now() + interval '1 hour'
                    * (case when i <= {dead} then -2 - i % 10 else 1 end) as ends) e",
            self.name
        );
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    }

    /// How many have ended and are still there, and how many live.
    pub(crate) async fn counts(&self) -> (u64, u64) {
        let stats = self.store.stats().await.unwrap();
        (stats.expired, stats.browser)
    }

    /// The program on this table.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command
            .args(["--table", &self.name])
            .env("CLOAKROOM_STORE", server());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.program(arguments).output().unwrap().into()
    }

    /// The same when the lock of a sweep before it is free: the server notices a moment later that
    /// who had it has ended.
    pub(crate) async fn run_in_turn(&self, arguments: &[&str]) -> Ran {
        let mut ran = self.run(arguments);
        until("the lock is free", async || {
            if ran.code == Some(4) {
                ran = self.run(arguments);
            }
            ran.code != Some(4)
        })
        .await;
        ran
    }
}

/// Waits until as many wait for a lock on a table.
pub(crate) async fn until_waiting(count: i64, table: &str) {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let sql = "select count(*) from pg_locks where relation = $1::text::regclass and not granted";
    until("they wait", async || {
        let waiting = sqlx::query_scalar::<_, i64>(sql).bind(table);
        waiting.fetch_one(&mut connection).await.unwrap() == count
    })
    .await;
}

/// A folder with sessions, closed again; its path is `sled:` and what this says.
pub(crate) async fn folder(dead: usize, live: usize) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions");
    // Set back, so that what is stored first is dead when the program looks.
    let clock = ManualClock::new();
    let store = SledStore::builder(&path)
        .clock(Arc::new(clock.clone()))
        .open()
        .unwrap();
    for _ in 0..dead {
        stored(&store, None).await;
    }
    drop(store);
    let store = SledStore::open(&path).unwrap();
    for _ in 0..live {
        stored(&store, Some("ann")).await;
    }
    drop(store);
    let url = format!("sled:{}", path.display());
    (folder, url)
}

pub(crate) async fn stored(store: &impl SessionStore, owner: Option<&str>) -> Record {
    let id = SessionToken::generate().unwrap().id();
    let record = Record {
        owner: owner.map(|owner| owner.parse().unwrap()),
        ..Record::new(id, Lifetime::BROWSER)
    };
    match store.save(&record).await.unwrap() {
        Saved::Stored(stamp) => record.stored(stamp),
        other => panic!("expected Stored, got {other:?}"),
    }
}

/// Waits until something is so, and fails if that takes a minute.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_200 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}
