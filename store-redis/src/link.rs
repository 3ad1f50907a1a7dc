use std::{sync::Arc, time::Duration};

use cloakroom_store_api::{Error, Result, SessionId, Stamp, Timestamp};
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Value};
use tokio::time::Instant;

#[cfg(test)]
use crate::connections::Source;
use crate::{
    clock::{Reading, ServerClock},
    connections::{Connections, Server},
    error::{self, About},
    lane::{Answers, Call, Lane},
    load::Load,
    ping::Warnings,
    prefix::Prefix,
    save::Save,
    scripts::Script,
    touch::Touch,
};

/// What all handles of a store share.
pub(crate) struct Shared {
    pub(crate) prefix: Prefix,
    pub(crate) deadline: Duration,
    pub(crate) connections: Connections,
    pub(crate) clock: ServerClock,
    pub(crate) warnings: Warnings,
    pub(crate) loads: Lane<Load>,
    pub(crate) saves: Lane<Save>,
    pub(crate) touches: Lane<Touch>,
}

impl Shared {
    pub(crate) fn new(prefix: Prefix, deadline: Duration, connections: Connections) -> Self {
        Self {
            prefix,
            deadline,
            connections,
            clock: ServerClock::new(),
            warnings: Warnings::default(),
            loads: Lane::default(),
            saves: Lane::default(),
            touches: Lane::default(),
        }
    }
}

#[cfg(test)]
impl Shared {
    /// Of a store that has not connected yet.
    pub(crate) fn unconnected() -> Arc<Self> {
        let client = redis::Client::open("redis://127.0.0.1:1").unwrap();
        let deadline = Duration::from_secs(1);
        let connections = Connections::new(Source::server(client), 1, deadline);
        Arc::new(Self::new(Prefix::default(), deadline, connections))
    }
}

/// One call's way to the server, open until its deadline.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
    pub(crate) until: Instant,
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
        let value = self.ask(command, &mut false).await;
        value.map_err(|error| self.sorted(error, About::Session(id)))
    }

    /// Sends a command about no single session, which must bear to be sent twice.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let value = self.ask(command, &mut false).await;
        value
            .and_then(|value| Ok(redis::from_redis_value(value)?))
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
        let connections = &self.shared.connections;
        let value = connections
            .ask_at(server, command, self.until, &mut false)
            .await;
        value
            .and_then(|value| Ok(redis::from_redis_value(value)?))
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
        answer
            .map_err(|error| self.sorted(error, About::Session(id)))?
            .about(id)
    }

    pub(crate) async fn answer(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Answer, RedisError> {
        let mut is_second = false;
        let value = self.reply(script, keys, arguments, &mut is_second).await?;
        Answer::read(value, is_second)
    }

    /// Runs a script that answers each of the calls it is run for; it must bear to be run twice.
    pub(crate) async fn answers<C: Call<Answer = Answer>>(
        &self,
        script: &Script,
        calls: &[&C],
        arguments: &[&[u8]],
        is_second: &mut bool,
    ) -> Result<Answers<C>, RedisError> {
        let keys = calls.iter().map(|call| self.prefix().record(call.id()));
        let keys: Vec<_> = keys.collect();
        let value = self.reply(script, &keys, arguments, is_second).await?;
        let values = Vec::<Value>::from_redis_value(value)?;
        let answers = calls.iter().zip(values).map(|(call, value)| {
            let answer = Answer::read(value, *is_second)?;
            Ok((answer.verdict != Verdict::Failed).then(|| answer.about(call.id())))
        });
        answers.collect()
    }

    async fn reply(
        &self,
        script: &Script,
        keys: &[impl AsRef<str>],
        arguments: &[&[u8]],
        is_second: &mut bool,
    ) -> Result<Value, RedisError> {
        match self.ask(&script.by_hash(keys, arguments), is_second).await {
            // It has been flushed, or this is another server by now.
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.ask(&script.by_text(keys, arguments), is_second).await
            }
            value => value,
        }
    }

    pub(crate) fn sorted(&self, error: RedisError, about: About) -> Error {
        error::sorted(error, about, self.is_cluster())
    }

    /// Sends a command; says whether it was sent before, and may have been run twice.
    pub(crate) async fn ask(
        &self,
        command: &Cmd,
        is_second: &mut bool,
    ) -> Result<Value, RedisError> {
        let connections = &self.shared.connections;
        connections.ask(command, self.until, is_second).await
    }

    /// Sends commands together to the only server.
    pub(crate) async fn ask_all(
        &self,
        commands: &Pipeline,
        is_second: &mut bool,
    ) -> Result<Vec<Value>, RedisError> {
        let connections = &self.shared.connections;
        connections.ask_all(commands, self.until, is_second).await
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
    pub(crate) is_second: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Gone,
    Stored,
    Conflict,
    /// The owner's index has to have the session first.
    Unindexed,
    Corrupt,
    /// The server has refused this one of several: alone, it would say why.
    Failed,
    /// It is stored with the instants that its caller gave it.
    AsDated,
}

impl Answer {
    /// Reads a verdict, three instants and an owner; what is left out at the end is nothing.
    fn read(value: Value, is_second: bool) -> Result<Self, RedisError> {
        let bytes = Vec::<u8>::from_redis_value(value)?;
        let number = |place: usize| {
            let bytes = bytes.get(place..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| i64::from_be_bytes(*bytes))
        };
        let verdict = match bytes.first() {
            None | Some(0) => Verdict::Gone,
            Some(1) => Verdict::Stored,
            Some(2) => Verdict::Conflict,
            Some(3) => Verdict::Unindexed,
            Some(5) => Verdict::Failed,
            Some(6) => Verdict::AsDated,
            _ => Verdict::Corrupt,
        };
        Ok(Self {
            verdict,
            created_at: Timestamp::from_millis(number(1)),
            expires_at: Timestamp::from_millis(number(9)),
            now: Timestamp::from_millis(number(17)),
            owner: bytes.get(25..).unwrap_or_default().to_vec(),
            is_second,
        })
    }

    pub(crate) fn stored(created_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> Self {
        Self {
            verdict: Verdict::Stored,
            created_at,
            expires_at,
            now,
            owner: Vec::new(),
            is_second: false,
        }
    }

    /// What it says to the caller who asked about this session.
    pub(crate) fn about(self, id: SessionId) -> Result<Self> {
        match self.verdict {
            Verdict::Corrupt => Err(error::unreadable(id)),
            // Somebody else's save may have come after this call's own, whose answer was lost.
            Verdict::Conflict if self.is_second => Err(error::unclear()),
            _ => Ok(self),
        }
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
