use std::{fmt, str::FromStr, time::Duration};

use cloakroom_store_api::{Error, Result};
use sqlx::{ConnectOptions, PgPool, postgres::PgConnectOptions};

use crate::{PostgresStore, connections::Source, error::Failure};

/// Connects a [`PostgresStore`] with other settings than [`PostgresStore::connect`]; see
/// [`PostgresStore::builder`].
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct PostgresStoreBuilder {
    /// `None` if the URL cannot be read.
    source: Option<Source>,
    pub(crate) table: TableName,
    pub(crate) pool_size: usize,
    pub(crate) deadline: Duration,
}

impl PostgresStoreBuilder {
    pub(crate) fn new(url: &str) -> Self {
        let options = url.parse::<PgConnectOptions>().ok();
        let options = options.map(|options| {
            // The store has no floats, and PgBouncer refuses settings that it does not know.
            let options = options.extra_float_digits(None);
            Box::new(options.disable_statement_logging())
        });
        Self::of(options.map(Source::Server))
    }

    fn of(source: Option<Source>) -> Self {
        Self {
            source,
            table: TableName::default(),
            pool_size: 8,
            deadline: Duration::from_secs(5),
        }
    }

    /// The table that keeps the sessions; `cloakroom_sessions` by default, in the first schema
    /// of the role's search path.
    pub fn table(mut self, table: TableName) -> Self {
        self.table = table;
        self
    }

    /// How many connections the store opens at most; 8 by default, and never less than 1.
    ///
    /// Calls share statements instead of opening more: creates and saves have four on their way
    /// at a time, and as many if these meet somebody else's changes; loads and rotations have two,
    /// touches and ends one. With three connections or more, a call that meets no other of its kind
    /// is sent on its own, one at a time. A single connection is taken, until the deadline, by a
    /// call for a session that somebody else has locked, and all others wait for it.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections.max(1);
        self
    }

    /// How long a call waits before it fails as
    /// [`Unavailable`](cloakroom_store_api::Error::Unavailable); 5 s by default, and
    /// at most a day.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(DEADLINE_LIMIT);
        self
    }

    /// Connects, so that a wrong address or password shows at once. The table need not be there.
    ///
    /// # Errors
    ///
    /// As [`PostgresStore::connect`].
    pub async fn connect(mut self) -> Result<PostgresStore> {
        let source = self.source.take();
        let source = source.ok_or_else(|| Error::backend(Failure::Url))?;
        let store = PostgresStore::start(self, source);
        store.greet().await?;
        Ok(store)
    }
}

/// What can be added to any instant.
const DEADLINE_LIMIT: Duration = Duration::from_hours(24);

impl From<PgPool> for PostgresStoreBuilder {
    /// Settings for a store that takes its connections from a pool; see [`PostgresStore::new`].
    fn from(pool: PgPool) -> Self {
        Self::of(Some(Source::Pool(pool)))
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreBuilder")
            .field("table", &self.table)
            .field("pool_size", &self.pool_size)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The name of a table, with or without its schema: `sessions` or `auth.sessions`.
///
/// Each part has 1 to 63 bytes, any but NUL; the first dot parts them. It is quoted wherever it
/// is used, so case matters, and reserved words are fine. Shown as it is quoted.
///
/// ```
/// use cloakroom_store_postgres::TableName;
///
/// let table: TableName = "auth.sessions".parse()?;
/// assert_eq!(table.to_string(), r#""auth"."sessions""#);
/// # Ok::<(), cloakroom_store_postgres::ParseTableNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    schema: Option<String>,
    table: String,
}

impl TableName {
    /// The longest name that PostgreSQL does not cut short, in bytes.
    pub const LIMIT: usize = 63;

    /// The schema, if it is named, and the table, as they were parsed.
    #[must_use]
    pub fn parts(&self) -> (Option<&str>, &str) {
        let Self { schema, table } = self;
        (schema.as_deref(), table)
    }

    /// A name of something that belongs to this table, in the same schema, not yet qualified.
    pub(crate) fn unqualified(&self, suffix: &str) -> String {
        quoted(&self.suffixed(suffix))
    }

    /// A name of something that belongs to this table, in the same schema.
    pub(crate) fn sibling(&self, suffix: &str) -> Self {
        Self {
            schema: self.schema.clone(),
            table: self.suffixed(suffix),
        }
    }

    /// Long names lose their end to a checksum, so that two of them stay two.
    fn suffixed(&self, suffix: &str) -> String {
        let Self { schema: _, table } = self;
        if table.len() + suffix.len() <= Self::LIMIT {
            return format!("{table}{suffix}");
        }
        let checksum = table.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) // FNV-1a
        });
        let start = table.floor_char_boundary(Self::LIMIT - suffix.len() - 17);
        format!("{}_{checksum:016x}{suffix}", &table[..start])
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self {
            schema: None,
            table: "cloakroom_sessions".into(),
        }
    }
}

impl FromStr for TableName {
    type Err = ParseTableNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (schema, table) = match text.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, text),
        };
        let is_right =
            |part: &str| (1..=Self::LIMIT).contains(&part.len()) && !part.contains(['\0', '.']);
        if is_right(table) && schema.is_none_or(is_right) {
            Ok(Self {
                schema: schema.map(Into::into),
                table: table.into(),
            })
        } else {
            Err(ParseTableNameError)
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", quoted(schema))?;
        }
        f.write_str(&quoted(&self.table))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The text cannot name a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a table name is one or two parts of 1 to 63 bytes without NUL, with a dot between them")]
pub struct ParseTableNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_1_to_63_bytes_and_no_nul() {
        let long = "x".repeat(63);
        for right in [
            "s",
            "a.s",
            "Select",
            "ü ; drop",
            &long,
            &format!("{long}.{long}"),
        ] {
            right.parse::<TableName>().unwrap();
        }
        let longer = "x".repeat(64);
        for wrong in [
            "",
            ".",
            "a.",
            ".s",
            "a.b.c",
            "a\0",
            &longer,
            &format!("a.{longer}"),
        ] {
            assert_eq!(
                wrong.parse::<TableName>(),
                Err(ParseTableNameError),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn names_are_quoted() {
        let name: TableName = r#"My "own".sessions"#.parse().unwrap();
        assert_eq!(name.to_string(), r#""My ""own"""."sessions""#);
    }

    #[test]
    fn what_belongs_to_a_table_has_a_name_that_fits() {
        let long = "ü".repeat(31);
        let names = [format!("{long}a"), format!("{long}b")].map(|name| {
            let name: TableName = name.parse().unwrap();
            name.unqualified("_version")
        });
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.len() <= TableName::LIMIT + 2));
    }
}
