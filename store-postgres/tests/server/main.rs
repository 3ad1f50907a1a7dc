//! What is only this store's own. Needs a server: `scripts/with-servers`.

mod batches;
mod connections;
mod crashes;
mod cut;
mod drops;
mod errors;
mod forgotten;
mod frozen;
mod full_disk;
mod import;
mod killed;
mod layout;
mod locks;
mod lone;
mod schema;
mod standby;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod sweep_lock;
