//! The program as a child process.

use std::{
    ops::Deref,
    path::Path,
    process::{ExitStatus, Output},
};

use cloakroom_test_support::Login;

use crate::browser::Browser;

/// A running server; dropping it is `kill -9`.
pub(crate) struct Server(Login);

impl Server {
    /// With sessions and users in memory.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self(Login::start(flags))
    }

    /// With sessions and users in a folder.
    pub(crate) fn start_in(folder: &Path) -> Self {
        Self(Login::start_in(folder))
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.address())
    }

    pub(crate) fn signal(self, signal: &str) -> ExitStatus {
        self.0.signal(signal)
    }
}

impl Deref for Server {
    type Target = Login;

    fn deref(&self) -> &Login {
        &self.0
    }
}

/// The URL of a store in this folder.
pub(crate) fn sled(folder: &Path) -> String {
    format!("sled:{}", folder.join("sessions").display())
}

/// What the program says when it does not serve.
pub(crate) fn refused(flags: &[&str]) -> Output {
    Login::command().args(flags).output().unwrap()
}
