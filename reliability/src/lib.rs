#![doc = include_str!("../README.md")]

mod call;
pub mod experiments;
pub mod histories;
pub mod processes;
pub mod rows;
pub mod sequences;
pub mod suites;
pub mod target;

#[allow(dead_code, unreachable_pub)] // The kit's own tests use the rest.
#[path = "../../store-api/tests/teeth/broken.rs"]
mod broken;

pub use crate::{
    broken::Flaw,
    call::{Answer, Call},
};
