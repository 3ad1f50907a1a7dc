use std::{
    cell::Cell,
    fmt,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::store::Store;

/// How far a sweep is, on stderr.
pub(crate) enum Progress {
    /// On a terminal: a bar, once it is known how much there is.
    Bar(ProgressBar),
    /// In a log: a line now and then, none for a sweep that is soon done.
    Lines {
        started: Instant,
        last: Cell<Instant>,
    },
    Quiet,
}

/// How often a log has a line.
const LINES: Duration = Duration::from_secs(10);

impl Progress {
    pub(crate) fn start(quiet: bool, store: &Store) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !io::stderr().is_terminal() {
            let started = Instant::now();
            return Self::Lines {
                started,
                last: Cell::new(started),
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
            .with_style(style("{spinner} removed {human_pos}, {rate}"));
        // Counting is not waited for; the bar goes without a length until then.
        let (counted, store) = (bar.clone(), store.clone());
        tokio::spawn(async move {
            if let Ok(due) = store.count_due().await {
                // What was removed in the meantime may be counted or not.
                counted.set_length(due.max(counted.position()));
                counted.set_style(style(
                    "{wide_bar} {human_pos} of {human_len}, {rate}, {eta} left",
                ));
            }
        });
        Self::Bar(bar)
    }

    pub(crate) fn show(&self, removed: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(removed),
            Self::Lines { started, last } if last.get().elapsed() >= LINES => {
                last.set(Instant::now());
                let rate = removed as f64 / started.elapsed().as_secs_f64();
                // A closed stderr is no reason to end.
                let _ = writeln!(
                    io::stderr(),
                    "cloakroom: removed {removed} so far, {rate:.0}/s"
                );
            }
            Self::Lines { .. } | Self::Quiet => {}
        }
    }

    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // There is nothing to do about a bar that cannot be formatted.
            let _ = write!(out, "{:.0}/s", state.per_sec());
        })
}
