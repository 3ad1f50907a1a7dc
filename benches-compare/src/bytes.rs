//! How many bytes a session takes.

use std::{env, fs, process::Command};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use cloakroom::{MemoryStore, store::SessionStore};
use cloakroom_benches::sample::Size;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tower_sessions_core::SessionStore as _;

use crate::{
    entrants::{ours, postgres, redis, tower},
    report::rounded,
};

/// A store in memory that a process of its own fills, so that nothing else is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Filled {
    Ours,
    OursOwned,
    TowerMemory,
    TowerMoka,
}

impl Filled {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "cloakroom",
            Self::OursOwned => "cloakroom, each signed in",
            Self::TowerMemory => "tower-sessions memory",
            Self::TowerMoka => "tower-sessions moka",
        }
    }
}

/// Fills a store in this process, and prints how many bytes a session takes.
pub async fn fill(which: Filled, sessions: usize) -> Result<()> {
    let before = resident()?;
    let taken = || anyhow::Ok((resident()? - before) / sessions);
    let bytes = match which {
        Filled::Ours | Filled::OursOwned => {
            let store = MemoryStore::new();
            ours::fill(&store, sessions, which == Filled::OursOwned).await?;
            let stats = store.stats().await?;
            ensure!(stats.persistent == sessions as u64, "{stats:?}");
            taken()?
        }
        Filled::TowerMemory => {
            let store = tower_sessions::MemoryStore::default();
            tower::TowerSessions::fill(&store, sessions).await?;
            taken()?
        }
        Filled::TowerMoka => {
            let store = tower_sessions_moka_store::MokaStore::new(None);
            tower::TowerSessions14::fill(&store, sessions).await?;
            taken()?
        }
    };
    println!("{bytes}");
    Ok(())
}

/// What this process has in memory.
fn resident() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.context("VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kib.parse::<usize>()? * 1024)
}

/// Bytes of a session at so many, in memory.
pub fn memory(sessions: usize) -> Result<String> {
    let mut rows = Vec::new();
    for which in Filled::value_variants() {
        eprintln!("{} sessions in {}", rounded(sessions as f64), which.name());
        let value = which.to_possible_value().context("it has a name")?;
        let child = Command::new(env::current_exe()?)
            .args(["--fill", value.get_name(), "--sessions"])
            .arg(sessions.to_string())
            .output()?;
        ensure!(child.status.success(), "{child:?}");
        let bytes: f64 = String::from_utf8(child.stdout)?.trim().parse()?;
        rows.push((which.name(), bytes));
    }
    let theirs = rows[2].1;
    let mut text = format!(
        "Resident bytes a session, at {} sessions of 300 bytes.\n\n\
         | store | bytes | of tower-sessions memory |\n| --- | ---: | ---: |\n",
        rounded(sessions as f64)
    );
    for (name, bytes) in rows {
        text += &format!("| {name} | {} | {:.2} |\n", rounded(bytes), bytes / theirs);
    }
    Ok(text)
}

/// The same on a Redis server of nobody else's, by what it says that it uses.
pub async fn on_redis(url: &str, sessions: usize) -> Result<String> {
    // To forget a million keys takes longer than the half second that is the default.
    let patient = ::redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut server = ::redis::Client::open(url)?
        .get_multiplexed_async_connection_with_config(&patient)
        .await?;
    let mut text = String::from("| store | bytes |\n| --- | ---: |\n");
    for (name, owned) in [("cloakroom", false), ("cloakroom, each signed in", true)] {
        let before = used(&mut server).await?;
        ours::fill(&cloakroom::connect(url).await?, sessions, owned).await?;
        let bytes = (used(&mut server).await? - before) / sessions;
        text += &format!("| {name} | {} |\n", rounded(bytes as f64));
        let () = ::redis::cmd("FLUSHALL").query_async(&mut server).await?;
    }
    let before = used(&mut server).await?;
    tower::TowerSessions14::fill(&redis::tower(url).await?, sessions).await?;
    let bytes = (used(&mut server).await? - before) / sessions;
    text += &format!("| tower-sessions redis | {} |\n", rounded(bytes as f64));
    let () = ::redis::cmd("FLUSHALL").query_async(&mut server).await?;
    Ok(format!(
        "Bytes that Redis uses for a session, at {} sessions of 300 bytes.\n\n{text}",
        rounded(sessions as f64)
    ))
}

async fn used(server: &mut ::redis::aio::MultiplexedConnection) -> Result<usize> {
    let info: String = ::redis::cmd("INFO")
        .arg("memory")
        .query_async(server)
        .await?;
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.context("used_memory")?.trim().parse()?)
}

/// The same in PostgreSQL, of tables with all their indexes. Copies of one session fill them.
pub async fn on_postgres(url: &str, sessions: usize) -> Result<String> {
    let mut text = format!(
        "Bytes of a session in PostgreSQL, at {} sessions of 300 bytes.\n\n\
         | store | table | indexes |\n| --- | ---: | ---: |\n",
        rounded(sessions as f64)
    );
    let mut server = PgConnection::connect(url).await?;
    for (name, owner) in [
        ("cloakroom", None),
        ("cloakroom, each signed in", Some("user-1")),
    ] {
        let store = postgres::ours(url).await?;
        let table = store.table().to_string();
        let record = match owner {
            Some(owner) => Size::Small.record(owner),
            None => ours::nobodys(),
        };
        ours::stored(&store, record).await?;
        copies(&mut server, &table, sessions).await?;
        text += &row(&mut server, name, &table, sessions).await?;
    }
    let peer = postgres::peer(url).await?;
    peer.create(&mut tower::record14()).await?;
    let table = "tower_sessions.session";
    let copy = format!(
        "insert into {table} select left(encode(uuid_send(gen_random_uuid()), 'base64'), 22), \
         data, expiry_date from (select * from {table} limit 1) one, generate_series(2, {sessions})"
    );
    sqlx::query(AssertSqlSafe(copy))
        .execute(&mut server)
        .await?;
    text += &row(&mut server, "tower-sessions sqlx", table, sessions).await?;
    Ok(text)
}

async fn row(
    server: &mut PgConnection,
    name: &str,
    table: &str,
    sessions: usize,
) -> Result<String> {
    let sizes = "select pg_table_size($1::regclass), pg_indexes_size($1::regclass)";
    let (heap, indexes): (i64, i64) = sqlx::query_as(sizes)
        .bind(table)
        .fetch_one(&mut *server)
        .await?;
    sqlx::query(AssertSqlSafe(format!("drop table {table}")))
        .execute(server)
        .await?;
    let each = |bytes: i64| rounded(bytes as f64 / sessions as f64);
    Ok(format!("| {name} | {} | {} |\n", each(heap), each(indexes)))
}

/// Fills our table up to so many sessions with copies of one, each with another id and owner.
pub async fn copies(server: &mut PgConnection, table: &str, sessions: usize) -> Result<()> {
    let held = format!("select count(*) from {table}");
    let held: i64 = sqlx::query_scalar(AssertSqlSafe(held))
        .fetch_one(&mut *server)
        .await?;
    let copy = format!(
        "insert into {table} select gen_random_uuid(), revision, created_at, expires_at, sweep_hour, \
         idle_ms, absolute_ms, persistence, case when owner is not null then 'user-' || n end, payload \
         from (select * from {table} limit 1) one, generate_series({held} + 1, {sessions}) n"
    );
    sqlx::query(AssertSqlSafe(copy))
        .execute(&mut *server)
        .await?;
    sqlx::query(AssertSqlSafe(format!("vacuum analyze {table}")))
        .execute(server)
        .await?;
    Ok(())
}
