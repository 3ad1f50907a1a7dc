use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use clap::Parser;
use etcetera::{BaseStrategy, choose_base_strategy};
use humantime::Duration;

/// A site to sign in to, with "Remember me" ticked or not.
///
/// Unticked, the session dies with the browser: its cookie has no age, and the server ends it
/// when it is idle. Ticked, the session is persistent: its cookie has an age, and the server
/// keeps the session as long. Users and sessions survive a restart of this program.
#[derive(Debug, Parser)]
#[command(
    name = "login",
    verbatim_doc_comment,
    after_help = "Durations: 90s, 30m, 12h, 14d, or together, as in 1h30m.\n\n\
        Exit codes: 64 for a bad flag or URL, 69 for a store that is in use or cannot be\n\
        reached, 70 for anything else."
)]
pub(crate) struct Args {
    /// Where to serve, as HOST:PORT; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000", value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// Where to keep sessions: `sled:PATH`, a folder, or `memory:`, until the program ends.
    ///
    /// Built with the features for it, also `postgres://USER:PASSWORD@HOST/DATABASE`, where it
    /// makes its table, and `redis://HOST`.
    ///
    /// By default a folder in your data directory, or in ./data if there is none.
    #[arg(long, value_name = "URL")]
    store: Option<String>,

    /// The folder to keep users in.
    ///
    /// By default beside that of the sessions, with -users after its name; with `--store
    /// memory:`, users are kept in memory too.
    #[arg(long, value_name = "PATH", verbatim_doc_comment)]
    users: Option<PathBuf>,

    /// A browser-length session ends when it was not used for this long.
    #[arg(long, value_name = "DURATION", default_value = "30m")]
    pub(crate) browser_idle: Duration,

    /// A browser-length session ends at this age, however busy.
    #[arg(long, value_name = "DURATION", default_value = "12h")]
    pub(crate) browser_absolute: Duration,

    /// A persistent session ends when it was not used for this long, and so does its cookie.
    #[arg(long, value_name = "DURATION", default_value = "14d")]
    pub(crate) cookie_age: Duration,

    /// A persistent session ends at this age, however busy.
    #[arg(long, value_name = "DURATION", default_value = "90d")]
    pub(crate) persistent_absolute: Duration,

    /// How often ended sessions are deleted, and all are counted, on average.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub(crate) sweep_interval: Duration,

    /// Let cookies travel over plain HTTP, for Safari, or for another host than this computer.
    ///
    /// The default cookie is `Secure`. Chromium and curl take it all the same on localhost and
    /// 127.0.0.1; elsewhere browsers keep it only over HTTPS. For development: who listens on
    /// the network has the session.
    #[arg(long, verbatim_doc_comment)]
    pub(crate) plain_http: bool,
}

impl Args {
    /// The URL of the session store, and the folder of the users if they have one.
    pub(crate) fn places(&self) -> (String, Option<PathBuf>) {
        let store = self.store.clone().unwrap_or_else(|| {
            let sessions = data_folder().join("sessions");
            format!("sled:{}", sessions.display())
        });
        let users = self.users.clone().or_else(|| match store.split_once(':') {
            Some(("memory", _)) => None,
            Some(("sled", sessions)) => Some(beside(Path::new(sessions))),
            _ => Some(data_folder().join("users")),
        });
        (store, users)
    }
}

/// The user's data directory for this program, if there is one that can be made.
fn data_folder() -> PathBuf {
    choose_base_strategy()
        .map(|folders| folders.data_dir().join("cloakroom-login"))
        .ok()
        .filter(|folder| fs::create_dir_all(folder).is_ok())
        .unwrap_or_else(|| PathBuf::from("data"))
}

fn beside(sessions: &Path) -> PathBuf {
    let mut name = sessions.file_name().unwrap_or_default().to_owned();
    name.push("-users");
    sessions.with_file_name(name)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "no such host".to_owned())
}
