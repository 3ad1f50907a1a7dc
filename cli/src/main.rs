//! `cloakroom`: sweeps, shows, ends, imports, checks and measures web sessions. See `cloakroom --help`.

mod args;
mod bench;
mod check;
mod exit;
mod import;
mod list;
mod manual;
mod migrate;
mod progress;
mod report;
mod revoke;
mod session;
mod show;
mod signals;
mod stats;
mod store;
mod sweep;
mod trial;

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::exit::{Failure, Outcome};

fn main() -> ExitCode {
    match args::parse().and_then(dispatch) {
        Ok(outcome) => outcome.into(),
        Err(failure) => failure.tell(),
    }
}

fn dispatch(args: Args) -> Result<Outcome, Failure> {
    if let Command::Check(args) = &args.command
        && let (Some(behaviour), Some(trial)) = (&args.behaviour, &args.trial)
    {
        // It has a runtime of its own.
        return check::one(args, behaviour, trial);
    }
    run(args)
}

#[tokio::main]
async fn run(args: Args) -> Result<Outcome, Failure> {
    match args.command {
        Command::Sweep(args) => sweep::run(args).await,
        Command::Stats(args) => stats::run(args).await,
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Revoke(args) => revoke::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Completions(args) => manual::completions(&args),
        Command::Man => manual::man(),
    }
}
