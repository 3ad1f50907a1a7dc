use std::{fmt, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisResult,
    cluster::{ClusterClient, ClusterClientBuilder},
    io::tcp::TcpSettings,
    sentinel::SentinelClient,
};
use rustls::crypto::CryptoProvider;
use tokio::sync::Mutex;

use crate::connections::{Cluster, Connection, asking::Asking, topology::Topology};

/// Where connections come from.
pub(crate) enum Source {
    Server(Box<Client>),
    /// Asked for the master whenever there is to be a connection.
    Sentinel(Box<Mutex<SentinelClient>>),
    Cluster {
        client: Box<ClusterClient>,
        /// How to connect to any of its servers, but for the address. A client does not tell.
        node: Option<Box<ConnectionInfo>>,
    },
}

/// A server that accepts connections and answers nothing is given up after this long, so that
/// calls find it soon after it is back.
const CONNECTING: Duration = Duration::from_secs(1);

/// The same of a cluster's: a call that meets a dead master gives up when a second is nearly over.
pub(super) const OPENED: Duration = Duration::from_millis(300);

/// Before a connection to a cluster follows a slot it asks all servers, also replicas, whether they
/// are there, and opens it anew to one that does not answer in time. Nothing else is sent by then: both
/// together are shorter than a call waits.
pub(super) const ANSWERED: Duration = Duration::from_millis(400);
pub(super) const OVERALL: Duration = Duration::from_millis(800);

impl Source {
    pub(crate) fn server(client: Client) -> Self {
        Self::Server(Box::new(client))
    }

    pub(crate) fn sentinel(client: SentinelClient) -> Self {
        Self::Sentinel(Box::new(Mutex::new(client)))
    }

    pub(crate) fn cluster(nodes: Vec<ConnectionInfo>) -> RedisResult<Self> {
        let node = nodes.first().cloned().map(Box::new);
        let client = ClusterClientBuilder::new(nodes)
            .tcp_settings(at_once())
            .retries(0) // `outcome` sees to them
            .connection_timeout(OPENED)
            .response_timeout(ANSWERED)
            .overall_response_timeout(Some(OVERALL))
            .build()?;
        let client = Box::new(client);
        Ok(Self::Cluster { client, node })
    }

    pub(crate) fn cluster_of(client: ClusterClient) -> Self {
        let client = Box::new(client);
        Self::Cluster { client, node: None }
    }

    pub(crate) async fn connect(&self, deadline: Duration) -> RedisResult<Connection> {
        // A call has a deadline of its own, shared by all it sends.
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTING.min(deadline)))
            .set_response_timeout(None);
        Ok(match self {
            Self::Server(client) => Connection::Server(
                cryptography_for(client)
                    .get_multiplexed_async_connection_with_config(&settings)
                    .await?,
            ),
            Self::Sentinel(client) => Connection::Server(
                client
                    .lock()
                    .await
                    .get_async_connection_with_config(&settings)
                    .await?,
            ),
            Self::Cluster { client, node } => {
                let mut connection = client.get_async_connection().await?;
                let topology = Topology::ask(&mut connection).await?;
                let asking = Asking::new(node.as_deref().cloned());
                Connection::Cluster(connection, Arc::new(Cluster { topology, asking }))
            }
        })
    }
}

/// A command does not wait on this side until the server has acknowledged the one before.
pub(crate) fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Sees to it that a client which speaks TLS finds some cryptography: rustls panics where the
/// program has chosen none and its dependencies enable two.
fn cryptography_for(client: &Client) -> &Client {
    let address = client.get_connection_info().addr();
    if matches!(address, ConnectionAddr::TcpTls { .. }) && CryptoProvider::get_default().is_none() {
        // If somebody else is faster, theirs will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    client
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The clients know passwords.
        f.write_str(match self {
            Self::Server(_) => "Server",
            Self::Sentinel(_) => "Sentinel",
            Self::Cluster { .. } => "Cluster",
        })
    }
}
