//! What is only this store's own. Needs servers: `scripts/with-servers`.

mod crashes;
mod dates;
mod errors;
mod faults;
mod keys;
mod layout;
mod many;
mod owners;
mod resent;
mod runtimes;
mod scripts;
mod sentinel;
mod servers;
mod shared;
#[path = "../support/mod.rs"]
mod support;
mod warnings;
