//! The connections of a store, shared by all its calls.

mod asking;
mod outcome;
mod slot;
mod source;
mod topology;

use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    Cmd, Pipeline, RedisError, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    connections::{asking::Asking, outcome::Outcome, slot::Slot, topology::Topology},
    error,
};

pub(crate) use crate::connections::source::{Source, at_once};

#[derive(Debug)]
pub(crate) struct Connections {
    source: Source,
    slots: Vec<Arc<Slot>>,
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
    Cluster(ClusterConnection, Arc<Cluster>),
}

/// What belongs to a connection to a cluster.
pub(crate) struct Cluster {
    /// As it was when the connection was opened.
    topology: Topology,
    asking: Asking,
}

impl Connections {
    pub(crate) fn new(source: Source, count: usize, deadline: Duration) -> Self {
        Self {
            source,
            slots: (0..count).map(|_| Arc::default()).collect(),
            next: AtomicUsize::new(0),
            deadline,
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.source, Source::Cluster { .. })
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
    /// once more over another, in a cluster up to three times; then it may have been run twice,
    /// whatever the answer is, which `is_second` says.
    pub(crate) async fn ask_at(
        &self,
        server: &Server,
        command: &Cmd,
        until: Instant,
        is_second: &mut bool,
    ) -> RedisResult<Value> {
        let send = |connection: Connection| connection.send(server, command);
        self.sent(until, is_second, send).await
    }

    /// Sends commands together to the only server; an error that the server gives one of them is
    /// its value. If their connection is lost, all are sent once more.
    pub(crate) async fn ask_all(
        &self,
        commands: &Pipeline,
        until: Instant,
        is_second: &mut bool,
    ) -> RedisResult<Vec<Value>> {
        let send = |connection: Connection| connection.send_all(commands);
        self.sent(until, is_second, send).await
    }

    async fn sent<T, F: Future<Output = RedisResult<T>>>(
        &self,
        until: Instant,
        is_second: &mut bool,
        send: impl Fn(Connection) -> F,
    ) -> RedisResult<T> {
        let slot = self.slot();
        let times = if self.is_cluster() { 3 } else { 1 };
        let mut sent_again = 0;
        loop {
            let (number, connection) = self.connection(slot, until).await?;
            let sent = pin!(send(connection));
            let error = match self.answered(slot, number, until, sent).await {
                Err(error) => error,
                answer => return answer,
            };
            // Boxed, as all that is rare.
            let outcome = Box::pin(self.outcome(slot, number, &error, sent_again));
            let outcome = timeout_at(until, outcome).await.unwrap_or(Outcome::Final);
            if outcome == Outcome::Final || sent_again == times || Instant::now() >= until {
                return Err(error);
            }
            sent_again += 1;
            *is_second |= outcome == Outcome::Unknown;
        }
    }

    fn slot(&self) -> &Arc<Slot> {
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
        slot: &Arc<Slot>,
        number: u64,
        until: Instant,
        sent: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        let answer = timeout_at(until, sent).await;
        let answer = answer.unwrap_or_else(|_| Err(error::late(self.deadline)));
        if answer.as_ref().is_err_and(RedisError::is_timeout) {
            // It may hang, and whoever comes next is not to wait for it.
            match self.is_cluster() {
                true => slot.check(number),
                false => slot.discard(number),
            }
        }
        answer
    }

    /// What has become of a command that has failed; lets go of a connection that is of no use.
    async fn outcome(
        &self,
        slot: &Slot,
        number: u64,
        error: &RedisError,
        sent_again: u32,
    ) -> Outcome {
        if self.is_cluster() {
            return outcome::in_cluster(slot, number, error, sent_again).await;
        }
        let outcome = match error::code(error) {
            _ if error.is_io_error() => Outcome::Unknown,
            // A master that has become a replica: the name, or the Sentinels, may lead elsewhere.
            "READONLY" => Outcome::Refused,
            _ => return Outcome::Final,
        };
        slot.discard(number);
        outcome
    }

    /// The servers that have sessions.
    pub(crate) async fn servers(&self, until: Instant) -> RedisResult<Vec<Server>> {
        if !self.is_cluster() {
            return Ok(vec![Server::Only]);
        }
        self.sent(until, &mut false, Connection::masters).await
    }
}

impl Connection {
    async fn send(mut self, server: &Server, command: &Cmd) -> RedisResult<Value> {
        let value = match (&mut self, server) {
            (Self::Server(connection), _) => connection.req_packed_command(command).await,
            (Self::Cluster(connection, cluster), Server::Only) => {
                let value = connection.req_packed_command(command).await;
                match value.and_then(Value::extract_error) {
                    Err(error) if error.code() == Some("ASK") => {
                        Box::pin(cluster.asking.send(connection, command, error)).await
                    }
                    value => value,
                }
            }
            (Self::Cluster(connection, _), Server::Node { host, port }) => {
                let node = SingleNodeRoutingInfo::ByAddress {
                    host: host.clone(),
                    port: *port,
                };
                let routing = RoutingInfo::SingleNode(node);
                Box::pin(connection.route_command(command.clone(), routing)).await
            }
        };
        value.and_then(Value::extract_error)
    }

    async fn send_all(mut self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let count = commands.len();
        match &mut self {
            Self::Server(connection) => connection.req_packed_commands(commands, 0, count).await,
            Self::Cluster(connection, _) => {
                connection.req_packed_commands(commands, 0, count).await
            }
        }
    }

    /// Whether the servers of a cluster answer, and are what they were.
    async fn serves(self) -> bool {
        match self {
            Self::Server(_) => true,
            Self::Cluster(mut connection, cluster) => {
                let now = Topology::ask(&mut connection).await;
                now.is_ok_and(|now| now == cluster.topology)
            }
        }
    }

    /// The masters of a cluster, by the names that the connection has for them.
    async fn masters(self) -> RedisResult<Vec<Server>> {
        let Self::Cluster(mut connection, _) = self else {
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
