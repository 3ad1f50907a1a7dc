//! The example login as people use it: in a real Chromium. `scripts/test` installs it.

mod endings;
mod kinds;
mod pages;
