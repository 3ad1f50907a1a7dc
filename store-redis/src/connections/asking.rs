use std::collections::HashMap;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisError,
    RedisResult, Value, aio::MultiplexedConnection, cluster_async::ClusterConnection,
    cluster_routing::SingleNodeRoutingInfo,
};
use tokio::sync::Mutex;

use crate::connections::source::{ANSWERED, OPENED};

/// The way to the masters that slots are moving to. One that has no slot yet is unknown to the
/// connection of a cluster, which would open all of its connections anew if it was asked for it.
pub(super) struct Asking {
    /// How to connect to a server of the cluster, but for its address, if that is known.
    node: Option<ConnectionInfo>,
    opened: Mutex<HashMap<(String, u16), MultiplexedConnection>>,
}

impl Asking {
    pub(super) fn new(node: Option<ConnectionInfo>) -> Self {
        let opened = Mutex::default();
        Self { node, opened }
    }

    /// Sends a command to where its key is moving to, as the error says: there it has to follow
    /// `ASKING` at once. If there is no connection to it, nothing was sent, and the error remains.
    pub(super) async fn send(
        &self,
        connection: &mut ClusterConnection,
        command: &Cmd,
        error: RedisError,
    ) -> RedisResult<Value> {
        let Some((host, port)) = error.redirect_node().and_then(|(node, _)| address(node)) else {
            return Err(error);
        };
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("ASKING").add_command(command.clone());
        let values = match &self.node {
            Some(node) => {
                let Ok(mut master) = self.opened(node, &host, port).await else {
                    return Err(error);
                };
                let values = master.send_packed_commands(&commands, 0, 2).await;
                if values.is_err() {
                    self.opened.lock().await.remove(&(host, port));
                }
                values?
            }
            None => {
                let node = SingleNodeRoutingInfo::ByAddress { host, port };
                connection.route_pipeline(commands, 0, 2, node).await?
            }
        };
        values.into_iter().nth(1).ok_or(error)?.extract_error()
    }

    /// A connection to a master, kept for those that come after.
    async fn opened(
        &self,
        node: &ConnectionInfo,
        host: &str,
        port: u16,
    ) -> RedisResult<MultiplexedConnection> {
        let mut opened = self.opened.lock().await;
        let address = (host.to_owned(), port);
        if let Some(master) = opened.get(&address) {
            return Ok(master.clone());
        }
        let node = node
            .clone()
            .set_addr(ConnectionAddr::Tcp(host.into(), port));
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(OPENED))
            .set_response_timeout(Some(ANSWERED));
        let master = Client::open(node)?
            .get_multiplexed_async_connection_with_config(&settings)
            .await?;
        opened.insert(address, master.clone());
        Ok(master)
    }
}

fn address(node: &str) -> Option<(String, u16)> {
    let (host, port) = node.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.into(), port.parse().ok()?))
}
