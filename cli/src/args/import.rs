use std::str::FromStr;

use cloakroom_store_postgres::TableName;

use super::StoreArgs;
use crate::report::Format;

/// Imports the live sessions of tower-sessions' PostgreSQL table into the store's.
///
/// Old cookies go on working, in an application that has the store under tower-sessions, by
/// cloakroom-tower-sessions. A session is imported once, ever: run again, it leaves alone what has
/// come before, whether that is in use or has ended since. The old table is only read. Ctrl-C and
/// SIGTERM let it finish its batch and report.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom import --dry-run                              how many there are
  cloakroom import --owner /axum-login.data/user_id       of an application on axum-login
  cloakroom import --from postgres://app@old.example/app --from-table auth.session

With --format json the report is one object: store, dry_run, imported (with --dry-run, how many
would be), imported_before, expired, unreadable, too_large, unowned (read without a user's id; null
without --owner), seconds, imported_per_second, more (whether more is left) and stopped (null, or
what ended it early: signal, error).")]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Where the old table is: postgres://USER:PASSWORD@HOST/DATABASE [default: where the store is].
    #[arg(
        long,
        value_name = "URL",
        env = "CLOAKROOM_FROM",
        hide_env_values = true
    )]
    pub(crate) from: Option<String>,

    /// The old table, as TABLE or SCHEMA.TABLE.
    #[arg(long, value_name = "NAME", default_value = "tower_sessions.session")]
    pub(crate) from_table: TableName,

    /// Where in a session's entries its user's id is, as a JSON pointer; without it, a session is
    /// nobody's until the application saves it.
    #[arg(long, value_name = "POINTER")]
    pub(crate) owner: Option<Pointer>,

    /// Import nothing, only count what would be imported.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,

    /// Say nothing of the progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// A place in a JSON value, as RFC 6901 names it.
#[derive(Clone, Debug)]
pub(crate) struct Pointer(pub(crate) String);

impl FromStr for Pointer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.starts_with('/') {
            true => Ok(Self(text.to_owned())),
            false => Err("a JSON pointer to a user's id begins with a slash"),
        }
    }
}
