//! What must hold for any input, as functions that panic where it does not.
//!
//! `scripts/fuzz` runs each under libFuzzer; the tests here run each on its corpus and on
//! random changes of it.

mod changes;
mod cookies;
mod names;
mod record;
mod requests;
mod urls;

pub use crate::{changes::changes, cookies::cookies, names::names, record::record, urls::urls};

#[cfg(test)]
mod tests;
