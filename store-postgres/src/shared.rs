use std::{sync::Arc, time::Duration};

use cloakroom_store_api::{Result, SessionId};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    config::{PostgresStoreBuilder, TableName},
    connections::{Connections, Source},
    error,
    expire::Expire,
    import,
    lane::Lane,
    load::Load,
    optimistic::{Insert, Replace},
    owners::{ExpireOwner, List},
    rotate::Rotate,
    save::{Create, Draft, Save},
    schema,
    sql::Statements,
    sweep::{self, Count, Ping, Sweep},
    sweep_lock::SweepLock,
    touch::Touch,
};

/// What all handles and tasks of a store share.
pub(crate) struct Shared {
    pub(crate) table: TableName,
    pub(crate) deadline: Duration,
    pub(crate) statements: Statements,
    pub(crate) connections: Connections,
    /// For calls that wait for somebody else's lock: at most a quarter of the connections.
    pub(crate) patience: Semaphore,
    /// For one call at a time that its caller does by itself.
    pub(crate) lone: Arc<Semaphore>,
    pub(crate) loads: Lane<Load>,
    pub(crate) creates: Lane<Create>,
    pub(crate) insertions: Lane<Insert>,
    pub(crate) replacements: Lane<Replace>,
    pub(crate) saves: Lane<Save>,
    pub(crate) touches: Lane<Touch>,
    pub(crate) rotations: Lane<Rotate>,
    pub(crate) expires: Lane<Expire>,
    pub(crate) lists: Lane<List>,
    pub(crate) owners: Lane<ExpireOwner>,
    pub(crate) sweeps: Lane<Sweep>,
    pub(crate) counts: Lane<Count>,
    pub(crate) pings: Lane<Ping>,
}

impl Shared {
    pub(crate) fn new(builder: PostgresStoreBuilder, source: Source) -> Self {
        Self {
            deadline: builder.deadline,
            statements: Statements::new(&builder.table),
            connections: Connections::new(source, builder.pool_size, builder.deadline),
            patience: Semaphore::new((builder.pool_size / 4).max(1)),
            lone: Arc::new(Semaphore::new(usize::from(builder.pool_size >= LONE_FROM))),
            table: builder.table,
            loads: Lane::default(),
            creates: Lane::default(),
            insertions: Lane::default(),
            replacements: Lane::default(),
            saves: Lane::default(),
            touches: Lane::default(),
            rotations: Lane::default(),
            expires: Lane::default(),
            lists: Lane::default(),
            owners: Lane::default(),
            sweeps: Lane::default(),
            counts: Lane::default(),
            pings: Lane::default(),
        }
    }

    /// Opens a connection, to learn whether that is possible.
    pub(crate) async fn greet(&self) -> Result<()> {
        let connecting = async {
            let connection = self.connections.take().await?;
            connection.put_back(&Ok(()));
            Ok(())
        };
        self.in_time(self.deadline, connecting).await
    }

    /// Makes the tables. Others that do so at the same time are waited for.
    pub(crate) async fn migrate(&self) -> Result<()> {
        let migrating = async {
            let mut connection = self.connections.take().await?;
            // On an error the connection may be inside the transaction, and is closed.
            schema::migrate(&mut connection, &self.table).await?;
            connection.put_back(&Ok(()));
            Ok(())
        };
        self.in_time(MIGRATION.max(self.deadline), migrating).await
    }

    pub(crate) async fn is_migrated(&self) -> Result<bool> {
        let looking = async {
            let mut connection = self.connections.take().await?;
            let answer = schema::is_current(&mut connection, &self.table).await;
            connection.put_back(&answer);
            answer
        };
        self.in_time(self.deadline, looking).await
    }

    pub(crate) async fn count_due(&self) -> Result<u64> {
        let counting = async {
            let mut connection = self.connections.take().await?;
            let answer = sweep::count_due(&mut connection, &self.table).await;
            connection.put_back(&answer);
            answer
        };
        self.in_time(self.deadline, counting).await
    }

    pub(crate) async fn import(&self, drafts: &[Draft]) -> Result<u64> {
        let importing = async {
            let mut connection = self.connections.take().await?;
            // On an error the connection may be inside a transaction, and is closed.
            let imported = import::import(&mut connection, &self.table, drafts).await?;
            connection.put_back(&Ok(()));
            Ok(imported)
        };
        self.in_time(self.deadline, importing).await
    }

    pub(crate) async fn count_imported(&self, ids: &[SessionId]) -> Result<u64> {
        let counting = async {
            let mut connection = self.connections.take().await?;
            let answer = import::count_imported(&mut connection, &self.table, ids).await;
            connection.put_back(&answer);
            answer
        };
        self.in_time(self.deadline, counting).await
    }

    pub(crate) async fn drop_tables(&self) -> Result<()> {
        let dropping = async {
            let mut connection = self.connections.take().await?;
            schema::drop_tables(&mut connection, &self.table).await?;
            connection.put_back(&Ok(()));
            Ok(())
        };
        self.in_time(MIGRATION.max(self.deadline), dropping).await
    }

    pub(crate) async fn sweep_lock(&self) -> Result<Option<SweepLock>> {
        let locking = async {
            // Dropped half-way, it is closed.
            let connection = self.connections.open().await?;
            SweepLock::take(connection, &self.table).await
        };
        self.in_time(self.deadline, locking).await
    }

    #[cfg(feature = "conformance")]
    pub(crate) async fn spoil(&self, id: SessionId) -> Result<()> {
        let spoiling = async {
            let mut connection = self.connections.open().await?;
            crate::spoil::spoil(&mut connection, &self.table, id).await
        };
        self.in_time(self.deadline, spoiling).await
    }

    #[cfg(feature = "conformance")]
    pub(crate) async fn make_due(&self) -> Result<()> {
        let making = async {
            let mut connection = self.connections.open().await?;
            crate::spoil::make_due(&mut connection, &self.table).await
        };
        self.in_time(self.deadline, making).await
    }

    async fn in_time<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T> {
        match timeout(deadline, work).await {
            Ok(done) => done.map_err(|error| error::sorted(error, &self.table)),
            Err(_) => Err(error::late(deadline)),
        }
    }
}

/// With fewer connections no caller has one. It has it for as long as it pleases, past its deadline
/// too, and one may wait for a lock: a third is for all others.
const LONE_FROM: usize = 3;

/// A migration may have to wait for others, and for the table.
const MIGRATION: Duration = Duration::from_mins(1);
