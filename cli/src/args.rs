mod import;
mod sessions;
mod sweep;
mod trials;

use std::{env, str::FromStr, time::Duration};

use clap::{Parser, Subcommand, error::ErrorKind};
use cloakroom_store_postgres::TableName;
use cloakroom_store_redis::Prefix;

use crate::exit::Failure;

pub(crate) use self::{
    import::{ImportArgs, Pointer},
    sessions::{ListArgs, MigrateArgs, RevokeArgs, ShowArgs, StatsArgs},
    sweep::SweepArgs,
    trials::{BenchArgs, CheckArgs},
};

/// Sweeps, shows, ends, imports, checks and measures the web sessions of a store.
#[derive(Debug, Parser)]
#[command(
    name = "cloakroom",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = false,
    after_help = "\
A store is a folder, sled:PATH, or a server, postgres://USER:PASSWORD@HOST/DATABASE or redis://HOST.
Name it by --store, or in CLOAKROOM_STORE, where other users of the machine cannot see the password.

Examples:
  export CLOAKROOM_STORE=postgres://app:secret@db.example/app
  cloakroom sweep                   remove what has ended; for cron
  cloakroom stats                   count what is stored
  cloakroom list --owner ann        the sessions of a user
  cloakroom revoke --owner ann      sign a user out everywhere

Exit codes:
  0   done
  3   a sweep or an import was stopped, more is left
  4   another sweeper is at work
  64  the command line is wrong
  69  the store cannot be reached, sled's folder is not there, or calls of a bench have failed
  70  anything else
  75  the sled folder is in use"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sweep(SweepArgs),
    Stats(StatsArgs),
    List(ListArgs),
    Show(ShowArgs),
    Revoke(RevokeArgs),
    Migrate(MigrateArgs),
    Import(ImportArgs),
    Check(CheckArgs),
    Bench(BenchArgs),
    Completions(CompletionsArgs),
    /// Prints the manual, for `man -l -`.
    Man,
}

/// Which store.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArgs {
    /// Where the sessions are: sled:PATH, postgres://USER:PASSWORD@HOST/DATABASE, or a URL of
    /// Redis: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.
    #[arg(
        long,
        value_name = "URL",
        env = "CLOAKROOM_STORE",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,

    /// The table in PostgreSQL, as TABLE or SCHEMA.TABLE [default: cloakroom_sessions].
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<TableName>,

    /// What the keys in Redis begin with [default: cloakroom:].
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<Prefix>,

    /// How long one call may take [default: 30s; 10m for stats and sweep --dry-run].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Option<Duration>,
}

/// Prints what completes the command line in a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom completions bash > /etc/bash_completion.d/cloakroom
  cloakroom completions fish > ~/.config/fish/completions/cloakroom.fish")]
pub(crate) struct CompletionsArgs {
    pub(crate) shell: clap_complete::Shell,
}

/// Reads the command line. Help and version go to stdout, and end the process.
pub(crate) fn parse() -> Result<Args, Failure> {
    Args::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
        _ => Failure::usage(sentence(&error)),
    })
}

/// A count of at least one.
fn at_least_one<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|_| "must be a whole number of at least 1")
}

/// What clap says, in one sentence and without what may be a password.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Usage, and a hint at --help.
    let text = text.split("\n\nUsage:").next().unwrap_or(text);
    let text = text.split("\n\nFor more").next().unwrap_or(text);
    let mut text = text.replace("\n\n  tip: ", "; ");
    for argument in env::args_os() {
        let argument = argument.to_string_lossy();
        // clap says of `--option=value` the value alone.
        let value = argument
            .split_once('=')
            .filter(|_| argument.starts_with("--"));
        let value = value.map_or(&*argument, |(_, value)| value);
        if value.contains("://") {
            text = text.replace(value, "URL");
        }
    }
    format!("{}; see --help", text.trim_end())
}
