//! A load on the user's own backend.

mod load;
mod mix;
mod plot;

use std::{fs, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{
    args::BenchArgs,
    exit::{Failure, Outcome},
    report::{Format, print, print_as, table},
    signals::Stop,
    trial::Trial,
};
use load::Measured;
pub(crate) use mix::Mix;

pub(crate) async fn run(args: BenchArgs) -> Result<Outcome, Failure> {
    let mut stop = Stop::listen()?;
    let trial = Trial::begin(&args.store).await?;
    let measured = measure(&args, &trial, &mut stop).await;
    let ended = trial.end().await;
    let (measured, elapsed) = measured?;
    ended?;
    let rows: Vec<_> = measured
        .iter()
        .filter(|measured| measured.times.len() + measured.errors > 0)
        .map(|measured| Row::new(measured, elapsed))
        .collect();
    match args.format {
        Format::Text => {
            let head = [
                "CALL", "COUNT", "/S", "P50", "P90", "P99", "P99.9", "MAX", "ERRORS",
            ];
            let mut cells = vec![head.map(String::from).to_vec()];
            cells.extend(rows.iter().map(Row::cells));
            print(&table(&cells))?;
            print("times are in milliseconds\n")?;
        }
        Format::Json => rows
            .iter()
            .try_for_each(|row| print_as(args.format, "", row))?,
    }
    if let Some(file) = &args.plot {
        let picture = plot::svg(&measured).map_err(|error| {
            Failure::other(format_args!("the picture cannot be drawn: {error}"))
        })?;
        fs::write(file, picture).map_err(|error| {
            Failure::other(format_args!(
                "the picture cannot be written to `{}` ({error}); check the path",
                file.display()
            ))
        })?;
    }
    match rows.iter().all(|row| row.errors == 0) {
        true => Ok(Outcome::Done),
        false => Err(Failure::unreachable(
            "some calls have failed; use less --concurrency, or see that the store is well",
        )),
    }
}

async fn measure(
    args: &BenchArgs,
    trial: &Trial,
    stop: &mut Stop,
) -> Result<(Vec<Measured>, Duration), Failure> {
    let store = trial.store(0).await?;
    load::run(args, &store, stop).await
}

/// What the report says of one kind of call; times are in milliseconds.
#[derive(Debug, Serialize)]
struct Row {
    call: &'static str,
    count: u64,
    per_second: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    errors: u64,
}

impl Row {
    fn new(measured: &Measured, elapsed: Duration) -> Self {
        let Measured {
            operation,
            times,
            errors,
        } = measured;
        Self {
            call: operation.name(),
            count: times.len(),
            per_second: times.len() as f64 / elapsed.as_secs_f64(),
            p50: quantile(times, 0.5),
            p90: quantile(times, 0.9),
            p99: quantile(times, 0.99),
            p999: quantile(times, 0.999),
            max: quantile(times, 1.0),
            errors: *errors,
        }
    }

    fn cells(&self) -> Vec<String> {
        let Self {
            call,
            count,
            per_second,
            p50,
            p90,
            p99,
            p999,
            max,
            errors,
        } = self;
        let mut cells = vec![
            (*call).to_owned(),
            count.to_string(),
            format!("{per_second:.0}"),
        ];
        cells.extend([p50, p90, p99, p999, max].map(|time| format!("{time:.2}")));
        cells.push(errors.to_string());
        cells
    }
}

/// In milliseconds.
fn quantile(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1000.0
}
