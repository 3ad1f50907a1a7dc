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
    processes,
    rows::{self, Row},
    suites::{Suite, is_no_store},
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
        /// `memory`, `sled`, `postgres`, `redis`, `redis-cluster`, `middleware`, `fuzz`, or `broken` for
        /// those in which something has to be found.
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
    /// Does as it is told, by lines on standard input: the other of two processes on one store.
    #[command(hide = true)]
    Partner { store: Kind, place: String },
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
        Task::Partner { store, place } => processes::obey(store, &place).map(|()| true),
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

/// What is to be run, in a process of its own, and what its row says.
struct Trial {
    name: String,
    store: String,
    command: Command,
    seed: Option<u64>,
    /// A test fails where something was found; of a broken store it fails where nothing was.
    is_test: bool,
}

impl Trial {
    /// All for a store.
    fn all(store: &str, seed: u64) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        if !is_no_store(store) {
            for experiment in Experiment::all() {
                all.push(Self::experiment(&experiment, store, seed)?);
            }
        }
        for suite in Suite::ALL {
            let tests = suite.tests.iter().filter(|test| test.place() == store);
            all.extend(tests.map(|test| Self {
                name: suite.name.into(),
                store: test.store.into(),
                command: test.command(),
                seed: None,
                is_test: true,
            }));
        }
        Ok(all)
    }

    fn experiment(experiment: &Experiment, store: &str, seed: u64) -> io::Result<Self> {
        let kind = kind(store, experiment)?;
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["one", experiment.name, store, "--seed", &seed.to_string()])
            .env("CLOAKROOM_ROUNDS", experiment.size_on(kind).to_string());
        Ok(Self {
            name: experiment.name.into(),
            store: kind.to_string(),
            command,
            seed: experiment.has_seed().then_some(seed),
            is_test: false,
        })
    }
}

/// Says whether everything was as it has to be.
fn run(store: &str, only: &str, docs: &Path, version: &str, seed: u64) -> io::Result<bool> {
    let mut is_right = true;
    let trials = Trial::all(store, seed)?;
    for mut trial in trials.into_iter().filter(|trial| trial.name.contains(only)) {
        let began = Instant::now();
        let Output {
            status,
            stdout,
            stderr,
        } = trial.command.output()?;
        let is_broken = trial.store.starts_with("broken");
        let is_as_it_should_be = status.success() != (is_broken && !trial.is_test);
        let row = Row {
            command: format!("scripts/reliability {store} --only {}", trial.name),
            name: trial.name,
            store: trial.store,
            is_right: is_as_it_should_be != is_broken,
            figures: figures(&String::from_utf8_lossy(&stdout)),
            seed: trial.seed,
            seconds: began.elapsed().as_secs(),
            date: today()?,
            version: version.into(),
        };
        println!(
            "{} {}: {} ({} s)",
            row.store, row.name, row.figures, row.seconds
        );
        if !is_as_it_should_be {
            is_right = false;
            io::stderr().write_all(&stdout)?;
            io::stderr().write_all(&stderr)?;
        }
        rows::put(&docs.join("reliability.jsonl"), row)?;
        page(docs)?;
    }
    Ok(is_right)
}

/// The last line of figures, such as `rounds=10000 revived=0`.
fn figures(output: &str) -> String {
    let lines = output.lines().map(str::trim);
    let mut figures = lines.filter(|line| {
        let mut words = line.split(' ');
        words.all(|word| {
            word.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
        })
    });
    figures.next_back().unwrap_or("no figures").into()
}

fn page(docs: &Path) -> io::Result<()> {
    let rows = rows::read(&docs.join("reliability.jsonl"))?;
    fs::write(docs.join("reliability.md"), rows::page(&rows))
}

fn today() -> io::Result<String> {
    let now = OffsetDateTime::now_utc().format(&Iso8601::DATE);
    now.map_err(io::Error::other)
}
