use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions, raw_sql};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::error;

/// The store's own connections.
///
/// A caller may be dropped at any await. So for calls only the store's tasks use them, and a lone
/// caller from whom a task takes over: a connection is either whole or closed, and what it counted
/// for is free again (unlike a place in sqlx's pool, issues 4349 and 4393).
pub(crate) struct Connections {
    source: Source,
    idle: Mutex<Vec<Idle>>,
    places: Arc<Semaphore>,
    /// How long one that was idle may take to say that it lives.
    ping: Duration,
}

/// Where connections come from.
#[derive(Clone)]
pub(crate) enum Source {
    Server(Box<PgConnectOptions>),
    Pool(PgPool),
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// A connection that was idle for longer is asked whether it lives before it is used. The
/// question costs a round trip, and a write that fails on a dead connection costs a request.
const TRUSTED: Duration = Duration::from_secs(1);

/// Where a router has forgotten a connection, nothing comes back, and nobody says so.
const PING: Duration = Duration::from_millis(500);

impl Connections {
    pub(crate) fn new(source: Source, most: usize, deadline: Duration) -> Self {
        Self {
            source,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            ping: PING.min(deadline / 4),
        }
    }

    /// A connection, as soon as fewer than all are in use.
    pub(crate) async fn take(&self) -> sqlx::Result<Taken<'_>> {
        let place = Arc::clone(&self.places);
        let place = place.acquire_owned().await.expect("it is never closed");
        loop {
            // In a statement of its own: the guard must not live across an await.
            let idle = self.idle.lock().pop();
            let Some(mut idle) = idle else { break };
            if idle.since.elapsed() < TRUSTED {
                return Ok(self.taken(idle.connection, place));
            }
            match timeout(self.ping, idle.connection.ping()).await {
                Ok(Ok(())) => return Ok(self.taken(idle.connection, place)),
                Ok(Err(_)) => {}
                Err(_) => self.forget_idle(),
            }
        }
        let connection = self.open().await?;
        Ok(self.taken(connection, place))
    }

    /// A connection for something else than calls. It counts for nothing here.
    pub(crate) async fn open(&self) -> sqlx::Result<PgConnection> {
        match &self.source {
            Source::Server(options) => PgConnection::connect_with(options).await,
            // In a task: who is not polled on would keep a place in somebody else's pool.
            Source::Pool(pool) => {
                let pool = pool.clone();
                let acquiring = tokio::spawn(async move { acquire(&pool).await });
                acquiring.await.map_err(|_| sqlx::Error::WorkerCrashed)?
            }
        }
    }

    /// Closes what is not in use: where one connection has hung, the others may.
    pub(crate) fn forget_idle(&self) {
        self.idle.lock().clear();
    }

    fn taken(&self, connection: PgConnection, place: OwnedSemaphorePermit) -> Taken<'_> {
        Taken {
            connection,
            connections: self,
            place,
        }
    }
}

/// A pool's connection, for good. It may be inside a transaction whose owner was dropped when it had
/// just begun (sqlx issue 4393): what the store saves there would never be committed.
async fn acquire(pool: &PgPool) -> sqlx::Result<PgConnection> {
    let mut connection = pool.acquire().await?.detach();
    // Where no transaction is open, a `rollback` alone makes the server warn; one that has failed
    // takes nothing else.
    if raw_sql("begin; rollback")
        .execute(&mut connection)
        .await
        .is_err()
    {
        raw_sql("rollback").execute(&mut connection).await?;
    }
    Ok(connection)
}

/// A connection in use. Dropped, it is closed.
pub(crate) struct Taken<'a> {
    connection: PgConnection,
    connections: &'a Connections,
    place: OwnedSemaphorePermit,
}

impl Taken<'_> {
    /// Keeps the connection for the next one who asks, unless this answer says that it is lost.
    pub(crate) fn put_back<T>(self, answer: &sqlx::Result<T>) {
        let Self {
            connection,
            connections,
            place,
        } = self;
        let mut idle = connections.idle.lock();
        match answer {
            Err(error) if error::is_lost(error) => {
                // Whatever ended it has probably ended the others.
                idle.clear();
            }
            _ => idle.push(Idle {
                connection,
                since: Instant::now(),
            }),
        }
        drop(idle);
        drop(place);
    }
}

impl Deref for Taken<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
