use std::{
    env,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgGroup, Parser, Subcommand, error::ErrorKind};
use cloakroom_store_api::SessionId;
use cloakroom_store_postgres::TableName;

use crate::{bench::Mix, exit::Failure, report::Format};

/// Sweeps, shows, ends, checks and measures the web sessions of a store.
#[derive(Debug, Parser)]
#[command(
    name = "cloakroom",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = false,
    after_help = "\
A store is sled:PATH, a folder, or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Name it by --store,
or in CLOAKROOM_STORE, where other users of the machine do not see its password.

Examples:
  export CLOAKROOM_STORE=postgres://app:secret@db.example/app
  cloakroom sweep                   remove what has ended; for cron
  cloakroom stats                   count what is stored
  cloakroom list --owner ann        the sessions of a user
  cloakroom revoke --owner ann      sign a user out everywhere

Exit codes:
  0   done
  3   a sweep was stopped, more is left
  4   another sweeper is at work
  64  the command line is wrong
  69  the store cannot be reached
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
    /// Where the sessions are: sled:PATH, or postgres://USER:PASSWORD@HOST/DATABASE.
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

    /// How long one call may take [default: 30s, or 10m where all is read].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Option<Duration>,
}

/// Removes the sessions that have ended, in small batches beside a running application.
///
/// In PostgreSQL only one sweeper is at work on a table, and what ended within the current hour
/// is left for the next time. Ctrl-C and SIGTERM let it finish its batch and report.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom sweep --store sled:/var/lib/app/sessions
  cloakroom sweep --jitter 5m --max-duration 50m      hourly, by cron, on many machines
  cloakroom sweep --batch 500 --pause 100ms           gently, the first time after a year
  cloakroom sweep --dry-run --format json             how much there is

With --format json the report is one object: store, dry_run, removed (with --dry-run, how many
would be), batches, seconds, removed_per_second, longest_batch_seconds, more (whether more is left)
and stopped (null, or what ended it early: signal, max-batches, max-duration, error).")]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// How many sessions one batch removes at most.
    #[arg(long, value_name = "COUNT", default_value = "2000")]
    pub(crate) batch: NonZeroU32,

    /// Stop after this many batches.
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_batches: Option<u64>,

    /// Stop after this long, counted from the first batch.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) max_duration: Option<Duration>,

    /// Rest this long between two batches.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) pause: Duration,

    /// Wait a random time up to this before the first batch.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub(crate) jitter: Duration,

    /// Remove nothing, only count what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Sweep even if another sweeper of the same PostgreSQL table is at work.
    #[arg(long)]
    pub(crate) no_lock: bool,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,

    /// Say nothing of the progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Counts what is stored.
///
/// In PostgreSQL it reads the whole table.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --format json: browser, persistent, expired and oldest_expiry (null, or as RFC 3339 has it).")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Shows a user's live sessions, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom list --owner ann
  cloakroom list --owner 17 --format json | jq -r .id

With --format json each line is a session, as `cloakroom show --format json` has it.")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// The application's user id.
    #[arg(long, value_name = "USER")]
    pub(crate) owner: String,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Shows one live session, by the id that logs and listings have.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --format json: id, owner, persistence, created_at, expires_at, remaining_seconds, idle_seconds,
absolute_seconds, revision, entries (how many), bytes, and with --data: data, values by key.")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// The session, in 32 hexadecimal digits.
    pub(crate) id: SessionId,

    /// Show the entries too. They may be private.
    #[arg(long)]
    pub(crate) data: bool,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Ends sessions: some by their ids, or those of a user.
///
/// Whoever uses one is signed out by the next request. It asks first.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("which").required(true).args(["ids", "owner"]),
    after_help = "\
Examples:
  cloakroom revoke 3ac192aa7396105460d23820001e8b79
  cloakroom revoke --owner ann                        everywhere
  cloakroom revoke --owner ann --yes                  in a script
  cloakroom revoke --owner ann --except 3ac192aa7396105460d23820001e8b79

With --format json: id and was_live on a line for each session; for --owner: owner and ended."
)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Sessions, in 32 hexadecimal digits each.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<SessionId>,

    /// All sessions of this user.
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<String>,

    /// But not this one.
    #[arg(long, value_name = "ID", requires = "owner")]
    pub(crate) except: Option<SessionId>,

    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Makes the tables that the store needs, where they are missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom migrate --store postgres://app@localhost/app
  cloakroom migrate --print --table auth.sessions | psql app")]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Print the SQL for PostgreSQL instead. It needs no store.
    #[arg(long)]
    pub(crate) print: bool,
}

/// Checks that a live store keeps its promises: the conformance kit, a line for each behaviour.
///
/// It works in throwaway tables or folders beside the named one, which it never touches, and
/// removes them. It fails with exit code 70 if a behaviour is not as it has to be.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom check --store postgres://app@localhost/app
  cloakroom check --only sweep::
  cloakroom check --rounds 10000 --only races::

With --format json each line has behaviour, ok, figures (what a race has tried) and message.")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Only behaviours with this in their name.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,

    /// How many rounds each race has [default: what each needs to find something].
    #[arg(long, value_name = "COUNT")]
    pub(crate) rounds: Option<NonZeroU32>,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,

    /// The behaviour that this process is for.
    #[arg(long, hide = true, requires = "trial")]
    pub(crate) behaviour: Option<String>,

    /// Where its parent has its trial.
    #[arg(long, hide = true)]
    pub(crate) trial: Option<String>,
}

/// Measures a store under load: how many calls a second, and how long they take.
///
/// It works in a throwaway table or folder beside the named one, which it never touches, and
/// removes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom bench --store postgres://app@localhost/app
  cloakroom bench --concurrency 256 --duration 1m --plot latency.svg
  cloakroom bench --mix load=1 --sessions 100000 --size 2000

With --format json each line has call, count, per_second, p50, p90, p99, p999, max (milliseconds)
and errors.")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// How often each call is made, among load, touch, save, create, rotate and end.
    #[arg(
        long,
        value_name = "MIX",
        default_value = "load=80,touch=10,save=8,create=1,end=1"
    )]
    pub(crate) mix: Mix,

    /// How many callers there are at once.
    #[arg(long, value_name = "COUNT", default_value = "64")]
    pub(crate) concurrency: NonZeroU16,

    /// How many bytes of data a session has.
    #[arg(long, value_name = "BYTES", default_value = "400")]
    pub(crate) size: u16,

    /// How many sessions there are at the beginning.
    #[arg(long, value_name = "COUNT", default_value = "10000")]
    pub(crate) sessions: usize,

    /// How long it measures.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,

    /// Draw the times by percentile into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
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

/// What clap says, in one sentence and without what may be a password.
fn sentence(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Usage, and a hint at --help.
    let text = text.split("\n\nUsage:").next().unwrap_or(text);
    let text = text.split("\n\nFor more").next().unwrap_or(text);
    let mut text = text.replace("\n\n  tip: ", "; ");
    for secret in env::args().filter(|arg| arg.contains("://")) {
        text = text.replace(&secret, "URL");
    }
    format!("{}; see --help", text.trim_end())
}
