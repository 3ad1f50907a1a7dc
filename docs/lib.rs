//! The pages of this folder, each a module, so that their examples are compiled and run.
#![cfg(doctest)]

#[doc = include_str!("../README.md")]
pub mod readme {}
#[doc = include_str!("adapters.md")]
pub mod adapters {}
#[doc = include_str!("coming-from.md")]
pub mod coming_from {}
#[doc = include_str!("guide.md")]
pub mod guide {}
#[doc = include_str!("observability.md")]
pub mod observability {}
#[doc = include_str!("operations.md")]
pub mod operations {}
