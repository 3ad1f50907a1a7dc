use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::{StoreArgs, at_least_one};
use crate::report::Format;

/// Removes the sessions that have ended, in small batches beside a running application.
///
/// In PostgreSQL only one sweeper is at work on a table, and what ended within the current hour
/// is left for the next time. Redis removes them by itself: there it says so and is done. Ctrl-C
/// and SIGTERM let it finish its batch and report.
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
    #[arg(long, value_name = "COUNT", default_value = "2000", value_parser = at_least_one::<NonZeroU32>)]
    pub(crate) batch: NonZeroU32,

    /// Stop after this many batches.
    #[arg(long, value_name = "COUNT", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) max_batches: Option<NonZeroU64>,

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
