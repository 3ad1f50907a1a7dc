//! The same work on our stores, on other crates' stores and on the drivers themselves, in turn
//! and in one run. It prints Markdown; medians over rounds, and how many times the others ours is.

mod entrants;
mod measure;
mod middleware;
mod report;

use std::{env, path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tempfile::TempDir;

use crate::{
    entrants::{Group, memory, postgres, redis, sled},
    measure::{Operation, median},
    report::Rates,
};

/// Measures Cloakroom beside its peers.
///
/// Stores with a server are measured if CLOAKROOM_TEST_POSTGRES_URL and CLOAKROOM_TEST_REDIS_URL
/// name one; scripts/with-servers starts both.
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
    #[arg(long, default_value_t = 500)]
    millis: u64,

    /// Where to write a plot for each backend and operation, as SVG.
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Memory,
    Sled,
    Postgres,
    Redis,
    Middleware,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let time = Duration::from_millis(args.millis);
    if wants(Part::Middleware) {
        print_middleware(&args, time)?;
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let folder = TempDir::new()?;
        if wants(Part::Memory) {
            compare(memory::group().await?, &args, time).await?;
        }
        if wants(Part::Sled) {
            compare(sled::group(&folder).await?, &args, time).await?;
        }
        if let Some(url) = server("CLOAKROOM_TEST_POSTGRES_URL").filter(|_| wants(Part::Postgres)) {
            compare(postgres::group(&url).await?, &args, time).await?;
        }
        if let Some(url) = server("CLOAKROOM_TEST_REDIS_URL").filter(|_| wants(Part::Redis)) {
            compare(redis::group(&url).await?, &args, time).await?;
        }
        Ok(())
    })
}

fn server(variable: &str) -> Option<String> {
    let url = env::var(variable).ok();
    if url.is_none() {
        eprintln!("{variable} is not set, its stores are left out; scripts/with-servers sets it");
    }
    url
}

fn print_middleware(args: &Args, time: Duration) -> Result<()> {
    println!("### middleware\n\nNanoseconds that a request takes longer than without the layer.\n");
    println!("| session | cloakroom | tower-sessions |\n| --- | ---: | ---: |");
    for cost in middleware::costs(args.rounds, time)? {
        let part = cost.ours / cost.theirs;
        println!(
            "| {} | **{:.0}** | {:.0} ({part:.2} of it) |",
            cost.what, cost.ours, cost.theirs
        );
    }
    println!();
    Ok(())
}

async fn compare(group: Group, args: &Args, time: Duration) -> Result<()> {
    let mut all = Vec::new();
    for operation in Operation::ALL {
        for callers in [1, 16, 64] {
            let mut rates = vec![Vec::new(); group.entrants.len()];
            for round in 0..args.rounds {
                eprint!("\r{} {} {callers} {round}   ", group.name, operation.name());
                for (entrant, rates) in group.entrants.iter().zip(&mut rates) {
                    rates.push(entrant.rate(operation, callers, time).await?);
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
    println!(
        "### {}\n\nCalls a second; in brackets, how many times that ours is.\n",
        group.name
    );
    println!("{}", report::table(&all));
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
