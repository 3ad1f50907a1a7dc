use std::time::Instant;

use cloakroom_store_postgres::SweepLock;
use serde::Serialize;
use tokio::time::sleep;

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
    // Until here a signal ends the process: there is nothing to report.
    let mut stop = Stop::listen()?;
    if args.dry_run {
        return match stop.unless_asked(count(&args, &place, &store)).await {
            Some(counted) => counted,
            None => stopped(&args, &store),
        };
    }
    let begin = async {
        sleep(args.jitter.mul_f64(fastrand::f64())).await;
        lock(&args, &place, &store).await
    };
    let Some(lock) = stop.unless_asked(begin).await else {
        return stopped(&args, &store);
    };
    // Held to the end of the sweep.
    let _lock = lock?;
    sweep(&args, &place, &store, &mut stop).await
}

/// Reports that somebody has asked to stop before there was anything to report.
fn stopped(args: &SweepArgs, store: &Store) -> Result<Outcome, Failure> {
    let report = Report {
        more: true,
        stopped: Some(Reason::Signal),
        ..Report::new(store, args.dry_run)
    };
    print_as(args.format, &report.text(), &report)?;
    Ok(Outcome::MoreLeft)
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
        match (dry_run, stopped) {
            (true, None) => return format!("{removed} ended sessions would be removed"),
            (true, Some(_)) => return "stopped by a signal, nothing was counted".into(),
            (false, _) => {}
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
        report.stopped = if args
            .max_batches
            .is_some_and(|most| report.batches >= most.get())
        {
            Some(Reason::MaxBatches)
        } else if args
            .max_duration
            .is_some_and(|most| started.elapsed() + args.pause >= most)
        {
            Some(Reason::MaxDuration)
        } else if stop.unless_asked(sleep(args.pause)).await.is_none() {
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
