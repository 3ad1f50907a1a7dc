//! Looks for what only shows after a while: `scripts/soak`.

mod app;
mod canary;
mod client;
mod fault;
mod nodes;
mod report;
mod soak;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

/// Two application processes on one PostgreSQL, users who check each answer, and a fault every 20
/// seconds.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs all of it, and writes the page and the plot.
    Run {
        /// How long, such as 30m.
        #[arg(long, default_value = "30m", value_parser = humantime::parse_duration)]
        duration: Duration,
        /// How many users there are.
        #[arg(long, default_value_t = 32)]
        users: usize,
        /// Where soak.md and soak.svg go.
        #[arg(long, default_value = "docs")]
        docs: PathBuf,
        /// The version of the project.
        #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
        version: String,
    },
    /// Serves the application, until it is killed.
    #[command(hide = true)]
    App {
        store: String,
        /// Signs nobody out, and counts some things twice.
        #[arg(long)]
        wrong: bool,
    },
}

/// How long an application is looked at that is wrong on purpose.
const WRONG: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    match Arguments::parse().command {
        Task::App { store, wrong } => {
            runtime.block_on(app::serve(&store, wrong));
            ExitCode::SUCCESS
        }
        Task::Run {
            duration,
            users,
            docs,
            version,
        } => {
            let wrong = runtime.block_on(soak::run(WRONG, users, true));
            println!(
                "{}, in an application that is wrong on purpose",
                wrong.figures()
            );
            let found = runtime.block_on(soak::run(duration, users, false));
            report::write(&found, &wrong, &version, &docs).expect("the page can be written");
            println!("{}", found.figures());
            ExitCode::from(u8::from(wrong.is_right() || !found.is_right()))
        }
    }
}
