use std::{fmt, sync::Arc, time::Duration};

use cloakroom_store_api::{Error, Result};

use crate::{
    RedisStore,
    connections::{Connections, Source},
    error::Failure,
    link::Shared,
    prefix::Prefix,
    url,
};

/// Connects a [`RedisStore`] with other settings than [`RedisStore::connect`]; see
/// [`RedisStore::builder`].
#[must_use = "nothing is connected before `connect`"]
pub struct RedisStoreBuilder {
    source: Result<Source, Failure>,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    prefix: Prefix,
    connections: usize,
    deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            connections: 2,
            deadline: Duration::from_secs(5),
        }
    }
}

impl RedisStoreBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self::of(url::source(url))
    }

    fn of(source: Result<Source, Failure>) -> Self {
        Self {
            source,
            settings: Settings::default(),
        }
    }

    /// What all keys begin with; `cloakroom:` by default.
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.settings.prefix = prefix;
        self
    }

    /// How many connections the store opens to a server; 2 by default, and never less than 1.
    ///
    /// Calls share them, any number at a time: more than two rarely help.
    pub fn connections(mut self, connections: usize) -> Self {
        self.settings.connections = connections.max(1);
        self
    }

    /// How long a call waits before it fails as
    /// [`Unavailable`](cloakroom_store_api::Error::Unavailable); 5 s by default, and at most a
    /// day. In a cluster no server has longer than 0.4 s to answer, and no single command waits longer
    /// than 0.8 s, however many it takes.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline.min(DEADLINE_LIMIT);
        self
    }

    /// Connects, so that a wrong address or password shows at once.
    ///
    /// # Errors
    ///
    /// As [`RedisStore::connect`].
    pub async fn connect(self) -> Result<RedisStore> {
        let source = self.source.map_err(Error::backend)?;
        let store = start(source, self.settings);
        store.link().now().await?;
        Ok(store)
    }
}

/// What can be added to any instant.
const DEADLINE_LIMIT: Duration = Duration::from_hours(24);

impl From<redis::Client> for RedisStoreBuilder {
    /// Settings for a store on the server that a client names, such as one with certificates of
    /// its own.
    fn from(client: redis::Client) -> Self {
        Self::of(Ok(Source::server(client)))
    }
}

impl From<redis::cluster::ClusterClient> for RedisStoreBuilder {
    /// Settings for a store in a cluster.
    ///
    /// The client's timeouts and retries apply. It has no timeouts unless they are set, and then
    /// waits out a failover. Its retries are to be 0: the store sends again by itself what it has to,
    /// and would not know that somebody else's save has come between. To speak TLS it needs the program
    /// to have chosen a `CryptoProvider` of rustls, if its dependencies enable two. While the first slot
    /// of a new master is on its way to it, calls about the sessions that have arrived fail as
    /// [`Unavailable`](cloakroom_store_api::Error::Unavailable); with a URL they do not.
    fn from(client: redis::cluster::ClusterClient) -> Self {
        Self::of(Ok(Source::cluster_of(client)))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A store with the default settings, not yet connected.
pub(crate) fn lazy(client: redis::Client) -> RedisStore {
    start(Source::server(client), Settings::default())
}

fn start(source: Source, settings: Settings) -> RedisStore {
    let Settings {
        prefix,
        connections,
        deadline,
    } = settings;
    let connections = Connections::new(source, connections, deadline);
    RedisStore(Arc::new(Shared::new(prefix, deadline, connections)))
}
