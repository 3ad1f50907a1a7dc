//! A server, a browser and a store that can be watched and made to fail.

mod gate;
mod log;
mod spy;

use std::time::Duration;

pub(crate) use self::{gate::Gate, log::Log, spy::Spy};
pub(crate) use crate::{
    http::{Browser, COOKIE, Server},
    routes::routes,
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
