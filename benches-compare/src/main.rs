//! The same work on our stores, on other crates' stores and on the drivers themselves, in turn
//! and in one run. It prints Markdown; medians over rounds, and how many times the others ours is.

mod bytes;
mod entrants;
mod growth;
mod measure;
mod middleware;
mod page;
mod report;
mod sliding;

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::{
    bytes::Filled,
    entrants::{Group, memory, postgres, redis, sled},
    growth::Growth,
    measure::{Operation, median},
    report::Rates,
};

/// Measures Cloakroom beside its peers.
///
/// Stores with a server are measured if CLOAKROOM_TEST_POSTGRES_URL and CLOAKROOM_TEST_REDIS_URL
/// name one; scripts/with-servers starts both. The Redis server is emptied.
#[derive(Debug, Parser)]
#[command(name = "benches-compare")]
struct Args {
    /// What to measure; all of it by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,

    /// How many times each is measured, in turn with the others.
    #[arg(long, default_value_t = 7)]
    rounds: usize,

    /// How long each is measured each time, in milliseconds.
    #[arg(long, default_value_t = 300)]
    millis: u64,

    /// How many sessions there are where their bytes are counted.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: usize,

    /// The page to put the results into.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,

    /// Where to write a plot for each backend and operation, as SVG.
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,

    /// Fill a store in memory, and print how many bytes a session takes.
    #[arg(long, hide = true)]
    fill: Option<Filled>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Memory,
    Sled,
    Postgres,
    Redis,
    Sliding,
    Middleware,
    Bytes,
    Growth,
}

struct Servers {
    postgres: Option<String>,
    redis: Option<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(which) = args.fill {
        return runtime.block_on(bytes::fill(which, args.sessions));
    }
    let servers = Servers {
        postgres: server("CLOAKROOM_TEST_POSTGRES_URL"),
        redis: server("CLOAKROOM_TEST_REDIS_URL"),
    };
    if args.wants(Part::Middleware) {
        let table = middleware::table(args.rounds, args.time())?;
        page::put(args.page(), "middleware", &table)?;
    }
    runtime.block_on(async {
        let versions = servers.versions().await?;
        page::put(args.page(), "conditions", &page::conditions(&versions)?)?;
        measure(&args, &servers).await
    })
}

async fn measure(args: &Args, servers: &Servers) -> Result<()> {
    let folder = TempDir::new()?;
    let wants = |part| args.wants(part) || args.wants(Part::Sliding);
    let mut groups = Vec::new();
    if wants(Part::Memory) {
        groups.push((Part::Memory, memory::group().await?));
    }
    if wants(Part::Sled) {
        groups.push((Part::Sled, sled::group(&folder).await?));
    }
    if let Some(url) = servers.postgres.as_ref().filter(|_| wants(Part::Postgres)) {
        groups.push((Part::Postgres, postgres::group(url).await?));
    }
    if let Some(url) = servers.redis.as_ref().filter(|_| wants(Part::Redis)) {
        groups.push((Part::Redis, redis::group(url).await?));
    }
    for (_, group) in groups.iter().filter(|(part, _)| args.wants(*part)) {
        compare(group, args).await?;
    }
    if args.wants(Part::Sliding) {
        let groups: Vec<_> = groups.into_iter().map(|(_, group)| group).collect();
        let table = sliding::table(&groups, args.rounds, args.time()).await?;
        page::put(args.page(), "sliding", &table)?;
    }
    if args.wants(Part::Bytes) {
        page::put(args.page(), "bytes", &bytes::memory(args.sessions)?)?;
        if let Some(url) = &servers.redis {
            let table = bytes::on_redis(url, args.sessions).await?;
            page::put(args.page(), "bytes-redis", &table)?;
        }
        if let Some(url) = &servers.postgres {
            let table = bytes::on_postgres(url, args.sessions).await?;
            page::put(args.page(), "bytes-postgres", &table)?;
        }
    }
    if args.wants(Part::Growth) {
        let mut growth = Growth::new(args.rounds, args.time());
        growth.in_process().await?;
        if let Some(url) = &servers.redis {
            growth.on_redis(url).await?;
        }
        if let Some(url) = &servers.postgres {
            growth.on_postgres(url).await?;
        }
        page::put(args.page(), "growth", &growth.table())?;
    }
    Ok(())
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn time(&self) -> Duration {
        Duration::from_millis(self.millis)
    }

    fn page(&self) -> Option<&Path> {
        self.page.as_deref()
    }
}

fn server(variable: &str) -> Option<String> {
    let url = env::var(variable).ok();
    if url.is_none() {
        eprintln!("{variable} is not set, its stores are left out; scripts/with-servers sets it");
    }
    url
}

impl Servers {
    async fn versions(&self) -> Result<Vec<String>> {
        let mut versions = Vec::new();
        if let Some(url) = &self.postgres {
            let mut server = PgConnection::connect(url).await?;
            let settings = "select format('PostgreSQL %s; fsync %s, synchronous_commit %s, shared_buffers %s', \
                            current_setting('server_version'), current_setting('fsync'), \
                            current_setting('synchronous_commit'), current_setting('shared_buffers'))";
            versions.push(sqlx::query_scalar(settings).fetch_one(&mut server).await?);
        }
        if let Some(url) = &self.redis {
            let mut server = ::redis::Client::open(url.as_str())?
                .get_multiplexed_async_connection()
                .await?;
            let info: String = ::redis::cmd("INFO").query_async(&mut server).await?;
            let value = |key: &str| {
                let value = info.lines().find_map(|line| line.strip_prefix(key));
                value.unwrap_or("unknown").trim().to_owned()
            };
            versions.push(format!(
                "Redis {}; append-only file {}",
                value("redis_version:"),
                if value("aof_enabled:") == "1" {
                    "on"
                } else {
                    "off"
                }
            ));
        }
        Ok(versions)
    }
}

async fn compare(group: &Group, args: &Args) -> Result<()> {
    let mut all = Vec::new();
    for operation in Operation::ALL {
        for callers in [1, 16, 64] {
            let mut rates = vec![Vec::new(); group.entrants.len()];
            for round in 0..args.rounds {
                eprint!("\r{} {} {callers} {round}   ", group.name, operation.name());
                for (entrant, rates) in group.entrants.iter().zip(&mut rates) {
                    rates.push(entrant.rate(operation, callers, args.time()).await?);
                }
            }
            let names = group.entrants.iter().map(|entrant| entrant.name);
            all.push(Rates {
                group: group.name,
                operation: operation.name(),
                callers,
                entrants: names.zip(rates.into_iter().map(median)).collect(),
            });
        }
    }
    eprintln!();
    page::put(args.page(), group.name, &report::table(&all))?;
    let Some(folder) = &args.plots else {
        return Ok(());
    };
    std::fs::create_dir_all(folder)?;
    for operation in Operation::ALL.map(Operation::name) {
        let rows: Vec<_> = all
            .iter()
            .filter(|row| row.operation == operation)
            .collect();
        let file = folder.join(format!("{}-{operation}.svg", group.name));
        report::plot(&rows, &file)?;
    }
    Ok(())
}
