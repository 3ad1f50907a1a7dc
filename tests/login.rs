//! The example `login`, as a program: its own process, spoken to over HTTP.

#[path = "login/accounts.rs"]
mod accounts;
#[path = "login/browser.rs"]
mod browser;
#[path = "login/other_sites.rs"]
mod other_sites;
#[path = "login/process.rs"]
mod process;
#[path = "login/server.rs"]
mod server;
#[path = "login/sessions.rs"]
mod sessions;
