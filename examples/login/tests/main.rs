//! The example `login`, as a program: its own process, spoken to over HTTP.

mod accounts;
mod browser;
mod metrics;
mod other_sites;
mod process;
mod server;
mod sessions;
