use std::{
    cell::Cell,
    fmt,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How far a command is, on stderr.
pub(crate) enum Progress {
    /// On a terminal: a bar, once it is known how much there is.
    Bar(ProgressBar),
    /// In a log: a line now and then, none for what is soon done.
    Lines {
        verb: &'static str,
        started: Instant,
        last: Cell<Instant>,
    },
    Quiet,
}

/// How often a log has a line.
const LINES: Duration = Duration::from_secs(10);

impl Progress {
    /// Begins to show how many were `verb`, such as removed; `count` says of how many.
    pub(crate) fn start(
        quiet: bool,
        verb: &'static str,
        count: impl Future<Output = Option<u64>> + Send + 'static,
    ) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !io::stderr().is_terminal() {
            let started = Instant::now();
            return Self::Lines {
                verb,
                started,
                last: Cell::new(started),
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(
            style(&format!("{{spinner}} {verb} {{human_pos}}, {{rate}}")),
        );
        // Counting is not waited for; the bar goes without a length until then.
        let counted = bar.clone();
        tokio::spawn(async move {
            if let Some(all) = count.await {
                // What was done in the meantime may be counted or not.
                counted.set_length(all.max(counted.position()));
                counted.set_style(style(
                    "{wide_bar} {human_pos} of {human_len}, {rate}, {eta} left",
                ));
            }
        });
        Self::Bar(bar)
    }

    pub(crate) fn show(&self, done: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(done),
            Self::Lines {
                verb,
                started,
                last,
            } if last.get().elapsed() >= LINES => {
                last.set(Instant::now());
                let rate = done as f64 / started.elapsed().as_secs_f64();
                // A closed stderr is no reason to end.
                let _ = writeln!(io::stderr(), "cloakroom: {verb} {done} so far, {rate:.0}/s");
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
