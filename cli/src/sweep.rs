use std::time::{Duration, Instant};

use cloakroom_store_postgres::SweepLock;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    args::SweepArgs,
    exit::{Failure, Outcome},
    progress::Progress,
    report::print_as,
    signals::Stop,
    store::{DEADLINE, Place, READ_ALL_DEADLINE, Store},
};

pub(crate) async fn run(args: SweepArgs) -> Result<Outcome, Failure> {
    let place = Place::new(&args.store)?;
    let mut stop = Stop::listen()?;
    let usual = if args.dry_run {
        READ_ALL_DEADLINE
    } else {
        DEADLINE
    };
    let store = place.open(args.store.deadline.unwrap_or(usual)).await?;
    if let Store::Redis(_) = store {
        let report = Report::new(&store, args.dry_run);
        let text = "Redis removes sessions that have ended by itself, there is nothing to sweep";
        print_as(args.format, text, &report)?;
        return Ok(Outcome::Done);
    }
    if args.dry_run {
        return count(&args, &place, &store).await;
    }
    if !wait(args.jitter.mul_f64(fastrand::f64()), &mut stop).await {
        let report = Report {
            more: true,
            stopped: Some(Reason::Signal),
            ..Report::new(&store, false)
        };
        print_as(args.format, &report.text(), &report)?;
        return Ok(Outcome::MoreLeft);
    }
    // Held to the end of the sweep.
    let _lock = lock(&args, &place, &store).await?;
    sweep(&args, &place, &store, &mut stop).await
}

/// What a sweep has done. `--help` documents its JSON.
#[derive(Debug, Serialize)]
struct Report {
    store: &'static str,
    dry_run: bool,
    removed: u64,
    batches: u64,
    seconds: f64,
    removed_per_second: f64,
    longest_batch_seconds: f64,
    more: bool,
    stopped: Option<Reason>,
}

/// What ended a sweep early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Reason {
    Signal,
    MaxBatches,
    MaxDuration,
    Error,
}

impl Report {
    fn new(store: &Store, dry_run: bool) -> Self {
        Self {
            store: store.name(),
            dry_run,
            removed: 0,
            batches: 0,
            seconds: 0.0,
            removed_per_second: 0.0,
            longest_batch_seconds: 0.0,
            more: false,
            stopped: None,
        }
    }

    fn text(&self) -> String {
        let Self {
            store: _,
            dry_run,
            removed,
            batches,
            seconds,
            removed_per_second,
            longest_batch_seconds,
            more,
            stopped,
        } = self;
        if *dry_run {
            return format!("{removed} ended sessions would be removed");
        }
        let why = match stopped {
            _ if !more => "nothing is left",
            Some(Reason::Signal) => "stopped by a signal, more is left",
            Some(Reason::MaxBatches) => "stopped by --max-batches, more is left",
            Some(Reason::MaxDuration) => "stopped by --max-duration, more is left",
            Some(Reason::Error) | None => "stopped by an error, more may be left",
        };
        format!(
            "removed {removed} ended sessions in {seconds:.1} s ({removed_per_second:.0}/s, \
             {batches} batches, the longest {:.0} ms); {why}",
            longest_batch_seconds * 1000.0
        )
    }
}

async fn count(args: &SweepArgs, place: &Place, store: &Store) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let due = store.count_due().await;
    let removed = due.map_err(|error| place.failure(&error))?;
    let report = Report {
        removed,
        seconds: started.elapsed().as_secs_f64(),
        more: removed > 0,
        ..Report::new(store, true)
    };
    print_as(args.format, &report.text(), &report)?;
    Ok(Outcome::Done)
}

async fn lock(
    args: &SweepArgs,
    place: &Place,
    store: &Store,
) -> Result<Option<SweepLock>, Failure> {
    match store {
        Store::Postgres(store) if !args.no_lock => {
            let lock = store.sweep_lock().await;
            let lock = lock.map_err(|error| place.failure(&error))?;
            lock.map(Some).ok_or_else(|| {
                Failure::locked(format_args!(
                    "another sweeper is at work on the table {}; let it, or use --no-lock",
                    store.table()
                ))
            })
        }
        _ => Ok(None),
    }
}

async fn sweep(
    args: &SweepArgs,
    place: &Place,
    store: &Store,
    stop: &mut Stop,
) -> Result<Outcome, Failure> {
    let counted = store.clone();
    let progress = Progress::start(args.quiet, "removed", async move {
        counted.count_due().await.ok()
    });
    let mut report = Report::new(store, false);
    let started = Instant::now();
    let mut failure = None;
    loop {
        let batch = Instant::now();
        match store.sessions().sweep(args.batch).await {
            Ok(swept) => {
                report.removed += swept.removed;
                report.more = swept.more;
            }
            Err(error) => {
                report.more = true;
                report.stopped = Some(Reason::Error);
                failure = Some(place.failure(&error));
                break;
            }
        }
        report.batches += 1;
        report.longest_batch_seconds = report
            .longest_batch_seconds
            .max(batch.elapsed().as_secs_f64());
        progress.show(report.removed);
        if !report.more {
            break;
        }
        report.stopped = if args.max_batches.is_some_and(|most| report.batches >= most) {
            Some(Reason::MaxBatches)
        } else if args
            .max_duration
            .is_some_and(|most| started.elapsed() + args.pause >= most)
        {
            Some(Reason::MaxDuration)
        } else if !wait(args.pause, stop).await {
            Some(Reason::Signal)
        } else {
            continue;
        };
        break;
    }
    progress.end();
    report.seconds = started.elapsed().as_secs_f64();
    report.removed_per_second = report.removed as f64 / report.seconds.max(f64::EPSILON);
    print_as(args.format, &report.text(), &report)?;
    match (failure, report.more) {
        (Some(failure), _) => Err(failure),
        (None, true) => Ok(Outcome::MoreLeft),
        (None, false) => Ok(Outcome::Done),
    }
}

/// Says whether it could wait as long, unasked to stop.
async fn wait(duration: Duration, stop: &mut Stop) -> bool {
    timeout(duration, stop.asked()).await.is_err()
}
