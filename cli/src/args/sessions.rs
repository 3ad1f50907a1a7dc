use clap::ArgGroup;
use cloakroom_store_api::SessionId;

use super::StoreArgs;
use crate::report::Format;

/// Counts what is stored.
///
/// In PostgreSQL it reads the whole table.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --format json: browser, persistent, expired and oldest_expiry (null, or as RFC 3339 has it).")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Shows a user's live sessions, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom list --owner ann
  cloakroom list --owner 17 --format json | jq -r .id

With --format json each line is a session, as `cloakroom show --format json` has it.")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// The application's user id.
    #[arg(long, value_name = "USER")]
    pub(crate) owner: String,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Shows one live session, by the id that logs and listings have.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --format json: id, owner, persistence, created_at, expires_at, remaining_seconds, idle_seconds,
absolute_seconds, revision, entries (how many), bytes, and with --data: data, values by key.")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// The session, in 32 hexadecimal digits.
    pub(crate) id: SessionId,

    /// Show the entries too. They may be private.
    #[arg(long)]
    pub(crate) data: bool,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Ends sessions: some by their ids, or those of a user.
///
/// Whoever uses one is signed out by the next request. It asks first.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("which").required(true).args(["ids", "owner"]),
    after_help = "\
Examples:
  cloakroom revoke 3ac192aa7396105460d23820001e8b79
  cloakroom revoke --owner ann                        everywhere
  cloakroom revoke --owner ann --yes                  in a script
  cloakroom revoke --owner ann --except 3ac192aa7396105460d23820001e8b79

With --format json: id and was_live on a line for each session; for --owner: owner and ended."
)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Sessions, in 32 hexadecimal digits each.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<SessionId>,

    /// All sessions of this user.
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<String>,

    /// But not this one.
    #[arg(long, value_name = "ID", requires = "owner")]
    pub(crate) except: Option<SessionId>,

    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Makes the tables that the store needs, where they are missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cloakroom migrate --store postgres://app@localhost/app
  cloakroom migrate --print --table auth.sessions | psql app")]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,

    /// Print the SQL for PostgreSQL instead. It needs no store.
    #[arg(long)]
    pub(crate) print: bool,
}
