#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod connections;
mod delivery;
mod error;
mod expire;
mod import;
mod lane;
mod load;
mod lone;
mod optimistic;
mod owners;
mod rotate;
mod runner;
mod save;
mod schema;
mod shared;
#[cfg(feature = "conformance")]
mod spoil;
mod sql;
mod sweep;
mod sweep_lock;
mod touch;

use std::{fmt, num::NonZeroU32, sync::Arc};

use cloakroom_store_api::{
    Age, Error, Owner, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept,
    async_trait,
};
use sqlx::PgPool;

use crate::{
    connections::Source,
    expire::Expire,
    load::Load,
    owners::{ExpireOwner, List},
    rotate::Rotate,
    runner::ask,
    save::Draft,
    shared::Shared,
    sweep::{Count, Ping, Sweep},
    touch::Touch,
};

pub use crate::{
    config::{ParseTableNameError, PostgresStoreBuilder, TableName},
    sweep_lock::SweepLock,
};

/// Keeps sessions in a table of a PostgreSQL database.
///
/// Clones are the same store. Its calls need a Tokio runtime with time enabled, and it lives in
/// the runtime of its first call.
#[derive(Clone)]
pub struct PostgresStore(Arc<Shared>);

impl PostgresStore {
    /// Connects to a server: `postgres://user:password@host:port/database`.
    ///
    /// The table is `cloakroom_sessions`; where it may be missing, call
    /// [`migrate`](Self::migrate) next.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if there is no server, or it does not answer in time.
    /// [`Error::Backend`] if the URL cannot be read, or the server does not let the user in. No
    /// error shows the password.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use cloakroom_store_postgres::PostgresStore;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = PostgresStore::connect("postgres://app@localhost/app").await?;
    /// store.migrate().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Settings for a store on a server.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use cloakroom_store_postgres::PostgresStore;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = PostgresStore::builder("postgres://app@localhost/app")
    ///     .table("auth.sessions".parse()?)
    ///     .deadline(Duration::from_secs(2))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(url: &str) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(url)
    }

    /// A store whose connections come from a pool, with the default settings; for others, use
    /// [`PostgresStoreBuilder::from`].
    ///
    /// The pool opens them as it is set to, then they are the store's, and the pool may open
    /// others in their place: the store's own number of connections comes on top of the pool's.
    /// A transaction that one of them is in, since somebody was dropped who began it, is rolled
    /// back.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let source = Source::Pool(pool.clone());
        Self::start(pool.into(), source)
    }

    /// Makes the tables, unless they are there.
    ///
    /// Any number of nodes can do so at once. The schema has to exist. The user needs the right
    /// to create tables in it, but not if they are there. It waits up to a minute for others
    /// who migrate. A call that is dropped has migrated all or nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if the user may not create tables, or the schema does not exist;
    /// [`Error::Unavailable`] as for any call.
    pub async fn migrate(&self) -> Result<()> {
        // In a task of its own: a caller who is dropped leaves no transaction open.
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.migrate().await })
            .await
            .unwrap_or_else(|panic| Err(Error::backend(panic)))
    }

    /// The SQL that [`migrate`](Self::migrate) runs, for those who migrate by other means.
    ///
    /// It can be run again and again.
    #[must_use]
    pub fn migration(table: &TableName) -> String {
        schema::migration(table)
    }

    /// Whether the tables are there, and as this version of the store has them.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    pub async fn is_migrated(&self) -> Result<bool> {
        self.0.is_migrated().await
    }

    /// Drops the tables, with every session in them: the end of a store that was made for a
    /// trial. The store is of no use afterwards, unless it is migrated again.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if the tables are not the user's; [`Error::Unavailable`] as for any
    /// call, and if somebody uses them for longer than a minute.
    pub async fn drop_tables(&self) -> Result<()> {
        self.0.drop_tables().await
    }

    /// Asks for the right to be the only sweeper of this table; `None` if somebody has it.
    ///
    /// It is an advisory lock for those who ask; [`sweep`](SessionStore::sweep) works without.
    /// Any number of sweepers at once do no harm, but share the work of one. The lock lives as
    /// long as what this returns, and ends with its connection: when the server ends that, or
    /// the process dies.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if there is no such table, and those of a failing store.
    pub async fn sweep_lock(&self) -> Result<Option<SweepLock>> {
        self.0.sweep_lock().await
    }

    /// Counts what [`sweep`](SessionStore::sweep) would remove: what died before the last full
    /// hour. Its cost grows with that number.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    pub async fn count_due(&self) -> Result<u64> {
        self.0.count_due().await
    }

    /// Stores sessions that come from another framework's store, each at most once, ever; says
    /// how many were stored.
    ///
    /// Unlike a [`save`](SessionStore::save) of a new record it never brings a session back: the
    /// ids are kept in a table beside the sessions' own, whose name ends in `_imported`, and one
    /// that is in there is left alone, whether its session lives, was rotated or has ended. So is
    /// a session whose id is in use. The first import makes that table, for which the user needs
    /// the right. Drop it when there is nothing left to import.
    ///
    /// The records are new ones, of revision 0. All of them are looked after in one statement, or
    /// none.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if a record is; [`Error::Backend`] if one has another revision, or if
    /// the user may not make the table; and those of a failing store.
    pub async fn import(&self, records: &[Record]) -> Result<u64> {
        let drafts = import::drafts(records)?;
        // In a task of its own, as a migration.
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.import(&drafts).await })
            .await
            .unwrap_or_else(|panic| Err(Error::backend(panic)))
    }

    /// Counts how many of these ids were imported before, so that
    /// [`import`](Self::import) would leave them alone.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    pub async fn count_imported(&self, ids: &[SessionId]) -> Result<u64> {
        self.0.count_imported(ids).await
    }

    /// Makes the stored record of this session unreadable, as the conformance kit asks.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    #[cfg(feature = "conformance")]
    pub async fn spoil(&self, id: SessionId) -> Result<()> {
        self.0.spoil(id).await
    }

    /// Makes the next sweep look at every record, as the conformance kit asks, and not only at
    /// what died before the last full hour.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    #[cfg(feature = "conformance")]
    pub async fn make_due(&self) -> Result<()> {
        self.0.make_due().await
    }

    /// The table that keeps the sessions.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.0.table
    }

    fn start(builder: PostgresStoreBuilder, source: Source) -> Self {
        Self(Arc::new(Shared::new(builder, source)))
    }

    async fn greet(&self) -> Result<()> {
        self.0.greet().await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.0.table)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        ask(&self.0, Load(id)).await
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        if record.revision > 0 {
            return optimistic::save(&self.0, record).await;
        }
        let lifetime = record.lifetime;
        if !lifetime.idle().min(lifetime.absolute()).is_zero() {
            return optimistic::create(&self.0, record).await;
        }
        // It would end when it begins: nothing is stored.
        match self.load(record.id).await {
            Ok(None) => Ok(Saved::Gone),
            Ok(Some(_)) | Err(Error::Corrupt { .. }) => Ok(Saved::Conflict),
            Err(error) => Err(error),
        }
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        let revision = revision.cast_signed();
        ask(&self.0, Touch { id, revision }).await
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        let draft = Draft::new(record)?;
        ask(&self.0, Rotate { old, draft, age }).await
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        ask(&self.0, Expire(id)).await
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        match owner.parse::<Owner>() {
            Ok(_) => ask(&self.0, List(owner.into())).await,
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        let Ok(_) = owner.parse::<Owner>() else {
            return Ok(0);
        };
        let owner = owner.into();
        ask(&self.0, ExpireOwner { owner, except }).await
    }

    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept> {
        ask(&self.0, Sweep(limit)).await
    }

    /// Counts what is stored. It reads the whole table.
    async fn stats(&self) -> Result<Stats> {
        ask(&self.0, Count).await
    }

    async fn ping(&self) -> Result<()> {
        ask(&self.0, Ping).await
    }
}
