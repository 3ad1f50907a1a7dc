//! Sessions from another framework's store.

mod source;
mod tower_sessions;

use std::{
    mem,
    time::{Duration, Instant},
};

use cloakroom_store_api::Record;
use cloakroom_store_postgres::PostgresStore;
use serde::Serialize;

use crate::{
    args::ImportArgs,
    exit::{Failure, Outcome},
    progress::Progress,
    report::print_as,
    signals::Stop,
    store::{DEADLINE, Place, Server},
};
use source::{Live, Row, Source};
use tower_sessions::{Unusable, record};

pub(crate) async fn run(args: ImportArgs) -> Result<Outcome, Failure> {
    let place = Place::new(&args.store)?;
    let Place::Postgres(server) = &place else {
        return Err(Failure::usage(
            "sessions are imported into a store in PostgreSQL only",
        ));
    };
    let store = server.open(args.store.deadline.unwrap_or(DEADLINE)).await?;
    let from = args.from.as_ref().unwrap_or(&server.url);
    let mut source = Source::open(from, args.from_table.clone()).await?;
    // Until here a signal ends the process: there is nothing to report.
    let mut stop = Stop::listen()?;
    let report = Report {
        store: "postgres",
        dry_run: args.dry_run,
        unowned: args.owner.as_ref().map(|_| 0),
        ..Report::default()
    };
    let Some(counts) = stop.unless_asked(source.count()).await else {
        let report = Report {
            more: true,
            stopped: Some(Reason::Signal),
            ..report
        };
        print_as(args.format, &report.text(), &report)?;
        return Ok(Outcome::MoreLeft);
    };
    let counts = counts?;
    let progress = Progress::start(args.quiet, "looked at", async move { Some(counts.live) });
    let started = Instant::now();
    let mut import = Import {
        args: &args,
        server,
        store: &store,
        batch: Vec::new(),
        size: 0,
        report: Report {
            expired: counts.expired,
            ..report
        },
    };
    let ended = import.all(source.live(), &progress, &mut stop).await;
    progress.end();
    let mut report = import.report;
    report.stopped = match ended {
        Ok(true) => None,
        Ok(false) => Some(Reason::Signal),
        Err(_) => Some(Reason::Error),
    };
    report.more = report.stopped.is_some();
    report.seconds = started.elapsed().as_secs_f64();
    report.imported_per_second = report.imported as f64 / report.seconds.max(f64::EPSILON);
    print_as(args.format, &report.text(), &report)?;
    match ended? {
        true => Ok(Outcome::Done),
        false => Ok(Outcome::MoreLeft),
    }
}

/// An import under way.
struct Import<'a> {
    args: &'a ImportArgs,
    server: &'a Server,
    store: &'a PostgresStore,
    batch: Vec<Record>,
    /// How many bytes of entries the batch has.
    size: usize,
    report: Report,
}

impl Import<'_> {
    /// Says whether it came to the end, unasked to stop.
    async fn all(
        &mut self,
        mut live: Live<'_>,
        progress: &Progress,
        stop: &mut Stop,
    ) -> Result<bool, Failure> {
        let mut seen = 0;
        loop {
            let Some(row) = stop.unless_asked(live.next()).await else {
                return Ok(false);
            };
            let Some(row) = row? else { break };
            self.add(&row);
            if self.batch.len() >= BATCH || self.size >= BATCH_SIZE {
                self.flush().await?;
            }
            seen += 1;
            progress.show(seen);
        }
        self.flush().await?;
        Ok(true)
    }

    fn add(&mut self, row: &Row) {
        let Self { args, report, .. } = self;
        if row.remaining < Duration::from_millis(1) {
            report.expired += 1;
            return;
        }
        let record = match &row.data {
            Some(data) => record(&row.id, data, row.remaining, args.owner.as_ref()),
            None => Err(Unusable::TooLarge),
        };
        match record {
            Ok(record) => {
                if let Some(unowned) = &mut report.unowned {
                    *unowned += u64::from(record.owner.is_none());
                }
                self.size += record.data.size();
                self.batch.push(record);
            }
            Err(Unusable::Unreadable) => report.unreadable += 1,
            Err(Unusable::TooLarge) => report.too_large += 1,
        }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.size = 0;
        let batch = mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let imported = match self.args.dry_run {
            false => self.store.import(&batch).await,
            true => {
                let ids: Vec<_> = batch.iter().map(|record| record.id).collect();
                let before = self.store.count_imported(&ids).await;
                before.map(|before| batch.len() as u64 - before)
            }
        };
        let imported = imported.map_err(|error| self.server.failure(&error))?;
        self.report.imported += imported;
        self.report.imported_before += batch.len() as u64 - imported;
        Ok(())
    }
}

/// A batch has as many records at most, and not many more bytes than these: a statement that is
/// soon done.
const BATCH: usize = 1000;
const BATCH_SIZE: usize = 1024 * 1024;

/// What an import has done. `--help` documents its JSON.
#[derive(Debug, Default, Serialize)]
struct Report {
    store: &'static str,
    dry_run: bool,
    imported: u64,
    imported_before: u64,
    expired: u64,
    unreadable: u64,
    too_large: u64,
    unowned: Option<u64>,
    seconds: f64,
    imported_per_second: f64,
    more: bool,
    stopped: Option<Reason>,
}

/// What ended an import early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Reason {
    Signal,
    Error,
}

impl Report {
    fn text(&self) -> String {
        let Self {
            store: _,
            dry_run,
            imported,
            imported_before,
            expired,
            unreadable,
            too_large,
            unowned,
            seconds,
            imported_per_second,
            more,
            stopped,
        } = self;
        let mut text = match dry_run {
            true => format!("{imported} live sessions would be imported"),
            false => format!(
                "imported {imported} live sessions in {seconds:.1} s ({imported_per_second:.0}/s)"
            ),
        };
        for (count, what) in [
            (imported_before, "had been imported before"),
            (expired, "had expired"),
            (unreadable, "cannot be read"),
            (too_large, "are too large"),
            (&unowned.unwrap_or(0), "have no user at --owner"),
        ] {
            if *count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text + match stopped {
            _ if !more && *dry_run => "",
            _ if !more => "; nothing is left",
            Some(Reason::Signal) => "; stopped by a signal, more is left",
            Some(Reason::Error) | None => "; stopped by an error, more may be left",
        }
    }
}
