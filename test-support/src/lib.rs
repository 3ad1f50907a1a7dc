//! What the tests of several crates share. Everything here panics where it cannot go on.

mod callers;
mod ledger;
mod login;
mod polls;
mod postgres;
mod process;
mod proxy;
mod rounds;
mod stalls;
pub mod throughput;

pub use crate::{
    callers::Callers,
    ledger::{Differences, Filling, Ledger, News, work},
    login::Login,
    polls::{done_after_a_poll, dropped_after, dropped_after_every_poll},
    postgres::Postgres,
    process::Process,
    proxy::{Cut, Proxy, Way},
    rounds::rounds,
    stalls::Stalls,
};
