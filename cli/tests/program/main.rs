//! The program as cron, a script or a person runs it. Needs a server: `scripts/with-servers`.

mod check;
mod failures;
mod import;
mod interrupted;
mod redis;
mod sessions;
mod support;
mod sweep;
