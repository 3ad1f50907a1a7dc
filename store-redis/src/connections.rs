//! The connections of a store, shared by all its calls.

mod slot;
mod source;

use std::{
    collections::HashMap,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use redis::{
    Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
};
use tokio::time::{Instant, timeout_at};

use crate::{connections::slot::Slot, error};

pub(crate) use crate::connections::source::Source;

#[derive(Debug)]
pub(crate) struct Connections {
    source: Source,
    slots: Vec<Slot>,
    next: AtomicUsize,
    deadline: Duration,
}

/// A server that has sessions.
#[derive(Debug)]
pub(crate) enum Server {
    /// The only one.
    Only,
    /// A master of a cluster.
    Node { host: String, port: u16 },
}

#[derive(Clone)]
pub(crate) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connections {
    pub(crate) fn new(source: Source, count: usize, deadline: Duration) -> Self {
        Self {
            source,
            slots: (0..count).map(|_| Slot::default()).collect(),
            next: AtomicUsize::new(0),
            deadline,
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.source, Source::Cluster(_))
    }

    /// Sends a command to where its key is.
    pub(crate) async fn ask(
        &self,
        command: &Cmd,
        until: Instant,
        is_second: &mut bool,
    ) -> RedisResult<Value> {
        self.ask_at(&Server::Only, command, until, is_second).await
    }

    /// Sends a command to a server. If its connection is lost before the answer, it is sent
    /// once more over another; then it may have been run twice, whatever the answer is.
    pub(crate) async fn ask_at(
        &self,
        server: &Server,
        command: &Cmd,
        until: Instant,
        is_second: &mut bool,
    ) -> RedisResult<Value> {
        let slot = self.slot();
        let mut is_sent_again = false;
        loop {
            let (number, connection) = self.connection(slot, until).await?;
            let sent = pin!(connection.send(server, command));
            let answer = self.answered(slot, number, until, sent).await;
            match answer.and_then(Value::extract_error) {
                Err(error) if self.is_lost(&error) => {
                    slot.discard(number);
                    if is_sent_again || Instant::now() >= until {
                        return Err(error);
                    }
                    is_sent_again = true;
                    *is_second = true;
                }
                answer => return answer,
            }
        }
    }

    fn slot(&self) -> &Slot {
        &self.slots[self.next.fetch_add(1, Relaxed) % self.slots.len()]
    }

    async fn connection(&self, slot: &Slot, until: Instant) -> RedisResult<(u64, Connection)> {
        if let Some(held) = slot.held() {
            return Ok(held);
        }
        // Boxed, as all that is rare: each call allocates what it may hold.
        let connecting = Box::pin(slot.connection(&self.source, self.deadline));
        let connected = timeout_at(until, connecting).await;
        connected.unwrap_or_else(|_| Err(error::late(self.deadline)))
    }

    async fn answered<T>(
        &self,
        slot: &Slot,
        number: u64,
        until: Instant,
        sent: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        match timeout_at(until, sent).await {
            Ok(answer) => answer,
            Err(_) => {
                // It may hang, and whoever comes next is not to wait for it.
                slot.discard(number);
                Err(error::late(self.deadline))
            }
        }
    }

    /// Whether a connection is of no use any more. A cluster's heals itself.
    fn is_lost(&self, error: &RedisError) -> bool {
        if self.is_cluster() {
            return false;
        }
        // A master that has become a replica: the name, or the Sentinels, may lead elsewhere.
        error.is_io_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
    }

    /// The servers that have sessions.
    pub(crate) async fn servers(&self, until: Instant) -> RedisResult<Vec<Server>> {
        if !self.is_cluster() {
            return Ok(vec![Server::Only]);
        }
        let slot = self.slot();
        let (number, connection) = self.connection(slot, until).await?;
        self.answered(slot, number, until, connection.masters())
            .await
    }
}

impl Connection {
    async fn send(mut self, server: &Server, command: &Cmd) -> RedisResult<Value> {
        match (&mut self, server) {
            (Self::Server(connection), _) => connection.req_packed_command(command).await,
            (Self::Cluster(connection), Server::Only) => {
                connection.req_packed_command(command).await
            }
            (Self::Cluster(connection), Server::Node { host, port }) => {
                let node = SingleNodeRoutingInfo::ByAddress {
                    host: host.clone(),
                    port: *port,
                };
                let routing = RoutingInfo::SingleNode(node);
                Box::pin(connection.route_command(command.clone(), routing)).await
            }
        }
    }

    /// The masters of a cluster, by the names that the connection has for them.
    async fn masters(self) -> RedisResult<Vec<Server>> {
        let Self::Cluster(mut connection) = self else {
            return Ok(vec![Server::Only]);
        };
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let answers = connection.route_command(redis::cmd("PING"), all).await?;
        let answers: HashMap<String, Value> = redis::from_redis_value(answers)?;
        let servers = answers.into_keys().filter_map(|address| {
            let (host, port) = address.rsplit_once(':')?;
            Some(Server::Node {
                host: host.into(),
                port: port.parse().ok()?,
            })
        });
        Ok(servers.collect())
    }
}
