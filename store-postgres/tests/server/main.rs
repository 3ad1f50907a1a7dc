//! What is only this store's own. Needs a server: `scripts/with-servers`.

mod errors;
mod faults;
mod locks;
mod schema;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod sweep_lock;
mod time_zone;
