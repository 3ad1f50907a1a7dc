//! A real Chromium, for the example login: what its tests and its screenshots share.
//!
//! It needs `chromedriver` and the Chromium or Chrome of the same version. What cannot start
//! panics; what a page does not have is an error.

mod browser;
mod driver;

pub use crate::browser::{Browser, Setup};

/// What the browser answers.
pub type Result<T, E = fantoccini::error::CmdError> = std::result::Result<T, E>;
