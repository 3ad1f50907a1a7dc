use std::{
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use super::{StoreArgs, at_least_one};
use crate::{bench::Mix, report::Format};

/// Checks that a live store keeps its promises: the conformance kit, a line for each behaviour.
///
/// It works in throwaway tables, prefixes or folders beside the named one, which it never touches,
/// and removes them, also after Ctrl-C or SIGTERM. The exit code is 70 if a behaviour is wrong.
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
    #[arg(long, value_name = "COUNT", value_parser = at_least_one::<NonZeroU32>)]
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

/// Measures a store under load: calls per second, and how long they take.
///
/// It works in a throwaway table, prefix or folder beside the named one, which it never touches,
/// and removes it, also after Ctrl-C or SIGTERM. The exit code is 69 if calls have failed.
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
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = at_least_one::<NonZeroU16>)]
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
