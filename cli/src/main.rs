//! `cloakroom`: sweeps, shows, ends, checks and measures web sessions. See `cloakroom --help`.

mod args;
mod exit;
mod list;
mod manual;
mod migrate;
mod report;
mod revoke;
mod session;
mod show;
mod signals;
mod stats;
mod store;
mod sweep;

use std::process::ExitCode;

use crate::args::{Args, Command};
use crate::exit::{Failure, Outcome};

fn main() -> ExitCode {
    match args::parse().and_then(run) {
        Ok(outcome) => outcome.into(),
        Err(failure) => failure.tell(),
    }
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
        Command::Completions(args) => manual::completions(&args),
        Command::Man => manual::man(),
    }
}
