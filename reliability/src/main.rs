//! Runs experiments at full size and keeps what they find: `scripts/reliability`.

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
    time::Instant,
};

use clap::{Parser, Subcommand};
use cloakroom_reliability::{
    experiments::Experiment,
    rows::{self, Row},
    target::Kind,
};
use time::{OffsetDateTime, format_description::well_known::Iso8601};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs experiments on a store, each in a process of its own, and keeps the results.
    Run {
        /// `memory`, `sled`, `postgres`, `redis`, `redis-cluster`, or `broken` for those in which
        /// something has to be found.
        store: String,
        /// Only experiments with this in their name.
        #[arg(long, default_value = "")]
        only: String,
        /// The folder of the rows and the page.
        #[arg(long, default_value = "docs")]
        docs: PathBuf,
        /// The version of the project, and of the server if there is one.
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        version: String,
        /// What decides what the searches try.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Runs one experiment here and prints its figures.
    One {
        name: String,
        store: String,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Makes the page of the rows.
    Page {
        #[arg(long, default_value = "docs")]
        docs: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Task::Run {
            store,
            only,
            docs,
            version,
            seed,
        } => run(&store, &only, &docs, &version, seed),
        Task::One { name, store, seed } => one(&name, &store, seed).map(|()| true),
        Task::Page { docs } => page(&docs).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("reliability: {error}");
            ExitCode::from(64)
        }
    }
}

fn kind(store: &str, experiment: &Experiment) -> io::Result<Kind> {
    match store {
        "broken" => Ok(Kind::Broken(experiment.flaw.0)),
        store => store.parse().map_err(io::Error::other),
    }
}

fn one(name: &str, store: &str, seed: u64) -> io::Result<()> {
    let experiment = Experiment::all().find(|experiment| experiment.name == name);
    let experiment = experiment.ok_or_else(|| io::Error::other(format!("there is no {name}")))?;
    experiment.run(kind(store, &experiment)?, seed);
    Ok(())
}

/// Says whether everything was as it has to be.
fn run(store: &str, only: &str, docs: &Path, version: &str, seed: u64) -> io::Result<bool> {
    let mut is_right = true;
    for experiment in Experiment::all().filter(|experiment| experiment.name.contains(only)) {
        let kind = kind(store, &experiment)?;
        let began = Instant::now();
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env::current_exe()?)
            .args(["one", experiment.name, store, "--seed", &seed.to_string()])
            .env("CLOAKROOM_ROUNDS", experiment.size_on(kind).to_string())
            .output()?;
        let stdout = String::from_utf8_lossy(&stdout);
        let row = Row {
            name: experiment.name.into(),
            store: kind.to_string(),
            is_right: status.success(),
            figures: stdout.lines().last().unwrap_or("no figures").into(),
            seed: experiment.has_seed().then_some(seed),
            seconds: began.elapsed().as_secs(),
            date: today()?,
            version: version.into(),
            command: format!("scripts/reliability {store} --only {}", experiment.name),
        };
        println!(
            "{} {}: {} ({} s)",
            row.store, row.name, row.figures, row.seconds
        );
        let is_broken = matches!(kind, Kind::Broken(_));
        if row.is_right == is_broken {
            is_right = false;
            io::stderr().write_all(&stderr)?;
        }
        rows::put(&docs.join("reliability.jsonl"), row)?;
        page(docs)?;
    }
    Ok(is_right)
}

fn page(docs: &Path) -> io::Result<()> {
    let rows = rows::read(&docs.join("reliability.jsonl"))?;
    fs::write(docs.join("reliability.md"), rows::page(&rows))
}

fn today() -> io::Result<String> {
    let now = OffsetDateTime::now_utc().format(&Iso8601::DATE);
    now.map_err(io::Error::other)
}
