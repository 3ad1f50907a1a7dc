use std::{sync::Arc, time::Duration};

use cloakroom_store_api::{Error, Result, SessionId, Stamp, Timestamp};
use redis::{Cmd, FromRedisValue, RedisError, Value};
use tokio::time::Instant;

use crate::{
    clock::{Reading, ServerClock},
    connections::{Connections, Reply, Server},
    error::{self, About},
    ping::Warnings,
    prefix::Prefix,
    scripts::Script,
};

/// What all handles of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) prefix: Prefix,
    pub(crate) deadline: Duration,
    pub(crate) connections: Connections,
    pub(crate) clock: ServerClock,
    pub(crate) warnings: Warnings,
}

/// One call's way to the server, open until its deadline.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
    until: Instant,
}

impl Link {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            until: Instant::now() + shared.deadline,
        }
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.shared.prefix
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.shared.connections.is_cluster()
    }

    /// Sends a command about a session, which must bear to be sent twice.
    pub(crate) async fn about(&self, id: SessionId, command: &Cmd) -> Result<Value> {
        let reply = self.ask(command).await;
        reply
            .map(|reply| reply.value)
            .map_err(|error| self.sorted(error, About::Session(id)))
    }

    /// Sends a command about no single session, which must bear to be sent twice.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let reply = self.ask(command).await;
        reply
            .and_then(|reply| Ok(redis::from_redis_value(reply.value)?))
            .map_err(|error| self.sorted(error, About::Store))
    }

    /// The servers that have sessions: one, or the masters of a cluster.
    pub(crate) async fn servers(&self) -> Result<Vec<Server>> {
        let servers = self.shared.connections.servers(self.until).await;
        servers.map_err(|error| self.sorted(error, About::Store))
    }

    /// Sends a command to one of the servers.
    pub(crate) async fn query_at<T: FromRedisValue>(
        &self,
        server: &Server,
        command: &Cmd,
    ) -> Result<T> {
        let reply = self
            .shared
            .connections
            .ask_at(server, command, self.until)
            .await;
        reply
            .and_then(|reply| Ok(redis::from_redis_value(reply.value)?))
            .map_err(|error| self.sorted(error, About::Store))
    }

    /// Runs a script about a session, which must bear to be run twice.
    pub(crate) async fn run(
        &self,
        script: &Script,
        id: SessionId,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Answer> {
        let answer = self.answer(script, keys, arguments).await;
        let answer = answer.map_err(|error| self.sorted(error, About::Session(id)))?;
        match answer.verdict {
            Verdict::Corrupt => Err(error::unreadable(id)),
            // Somebody else's save may have come after this call's own, whose answer was lost.
            Verdict::Conflict if answer.is_second => Err(error::unclear()),
            _ => Ok(answer),
        }
    }

    pub(crate) async fn answer(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Answer, RedisError> {
        let reply = match self.ask(&script.by_hash(keys, arguments)).await {
            // It has been flushed, or this is another server by now.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.ask(&script.by_text(keys, arguments)).await?
            }
            other => other?,
        };
        Answer::read(reply)
    }

    pub(crate) fn sorted(&self, error: RedisError, about: About) -> Error {
        error::sorted(error, about, self.is_cluster())
    }

    async fn ask(&self, command: &Cmd) -> Result<Reply, RedisError> {
        self.shared.connections.ask(command, self.until).await
    }

    /// What the server's clock shows, nearly.
    pub(crate) async fn now(&self) -> Result<Timestamp> {
        let clock = &self.shared.clock;
        loop {
            match clock.now() {
                Reading::Known(now) => return Ok(now),
                Reading::Due(measurement) => {
                    let time = redis::cmd("TIME");
                    let time = Box::pin(self.query(&time));
                    let (seconds, micros): (i64, i64) = time.await?;
                    measurement.done(Timestamp::from_millis(seconds * 1000 + micros / 1000));
                }
            }
        }
    }
}

/// What a script answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) created_at: Timestamp,
    expires_at: Timestamp,
    pub(crate) now: Timestamp,
    /// Whose the session was, if the script says it.
    pub(crate) owner: Vec<u8>,
    is_second: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Gone,
    Stored,
    Conflict,
    /// The owner's index has to have the session first.
    Unindexed,
    Corrupt,
}

impl Answer {
    /// What a script leaves out at the end is nothing.
    fn read(Reply { value, is_second }: Reply) -> Result<Self, RedisError> {
        let mut parts = Vec::<Value>::from_redis_value(value)?.into_iter();
        let mut number = || -> Result<i64, RedisError> {
            parts
                .next()
                .map_or(Ok(0), |part| Ok(i64::from_redis_value(part)?))
        };
        let verdict = match number()? {
            0 => Verdict::Gone,
            1 => Verdict::Stored,
            2 => Verdict::Conflict,
            3 => Verdict::Unindexed,
            _ => Verdict::Corrupt,
        };
        let [created_at, expires_at, now] = [number()?, number()?, number()?];
        let owner = parts.next().map(Vec::<u8>::from_redis_value).transpose()?;
        Ok(Self {
            verdict,
            created_at: Timestamp::from_millis(created_at),
            expires_at: Timestamp::from_millis(expires_at),
            now: Timestamp::from_millis(now),
            owner: owner.unwrap_or_default(),
            is_second,
        })
    }

    pub(crate) fn stamp(&self) -> Stamp {
        stamp(self.created_at, self.expires_at, self.now)
    }
}

pub(crate) fn stamp(created_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> Stamp {
    Stamp {
        created_at: created_at.into(),
        expires_at: expires_at.into(),
        remaining: expires_at.since(now),
    }
}

#[cfg(test)]
mod tests {
    use redis::Client;

    use super::*;
    use crate::{connections::Source, load::load};

    /// Each call allocates what it holds. It is within what allocators hand out quickly, and what
    /// is rare, such as connecting, does not count.
    #[tokio::test]
    async fn a_load_holds_little() {
        let source = Source::server(Client::open("redis://127.0.0.1").unwrap());
        let shared = Shared {
            prefix: Prefix::default(),
            deadline: Duration::from_secs(1),
            connections: Connections::new(source, 1, Duration::from_secs(1)),
            clock: ServerClock::new(),
            warnings: Warnings::default(),
        };
        let link = Link::new(&Arc::new(shared));
        let bytes = size_of_val(&load(&link, SessionId::from_bytes([1; 16])));
        println!("bytes={bytes}");
        assert!(bytes <= 2_560);
    }
}
