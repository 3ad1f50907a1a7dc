use cloakroom_store_api::{BoxError, Error, Record, Result, SessionId};
use futures_util::future::try_join_all;
use redis::{Pipeline, RedisError, Value};

use crate::{
    error::{self, About},
    header::{self, Header, State},
    lane::{self, Answers, Call, Lane},
    link::{Link, Shared, stamp},
};

/// Reads a session by a plain `GET`: what Redis still serves is live.
pub(crate) async fn load(link: &Link, id: SessionId) -> Result<Option<Record>> {
    let value = lane::ask(link, Load(id)).await?;
    match found(link, id, value).await? {
        Some(Found {
            record,
            state: State::Live,
        }) => Ok(Some(record)),
        _ => Ok(None),
    }
}

/// A record, and whether it is live yet.
pub(crate) struct Found {
    pub(crate) record: Record,
    pub(crate) state: State,
}

/// What is under the keys of sessions, at one moment if they are on one server; nothing for a key of
/// another type.
pub(crate) async fn values(link: &Link, ids: &[SessionId]) -> Result<Vec<Value>> {
    if !link.is_cluster() {
        let mut get = redis::cmd("MGET");
        for &id in ids {
            get.arg(link.prefix().record(id));
        }
        return link.query(&get).await;
    }
    let values = ids.iter().map(
        async |&id| match link.about(id, &link.prefix().get(id)).await {
            Err(Error::Corrupt { .. }) => Ok(Value::Nil),
            value => value,
        },
    );
    try_join_all(values).await
}

pub(crate) async fn found(link: &Link, id: SessionId, value: Value) -> Result<Option<Found>> {
    let value = match value {
        Value::Nil => return Ok(None),
        Value::BulkString(value) => value,
        _ => return Err(error::unreadable(id)),
    };
    let now = link.now().await?;
    let unreadable = |cause: BoxError| Error::corrupt(id, cause);
    let Some(header) = Header::decode(&value).map_err(unreadable)? else {
        return Ok(None);
    };
    let payload = value
        .get(header::LENGTH + usize::from(header.owner_length)..)
        .ok_or_else(|| error::unreadable(id))?;
    let stamp = stamp(header.created_at, header.expires_at, now);
    Ok(Some(Found {
        record: Record::decode(id, header.revision, stamp, payload)?,
        state: header.state,
    }))
}

/// Asks for a record.
pub(crate) struct Load(pub(crate) SessionId);

impl Call for Load {
    type Answer = Value;
    const MOST: usize = 16;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.loads
    }

    fn id(&self) -> SessionId {
        self.0
    }

    async fn send(
        calls: &[&Self],
        link: &Link,
        is_second: &mut bool,
    ) -> Result<Answers<Self>, RedisError> {
        if let [Self(id)] = calls {
            let value = link.ask(&link.prefix().get(*id), is_second).await?;
            return Ok(vec![Some(Ok(value))]);
        }
        let mut gets = Pipeline::with_capacity(calls.len());
        for Self(id) in calls {
            gets.add_command(link.prefix().get(*id));
        }
        let values = link.ask_all(&gets, is_second).await?;
        let answers = calls.iter().zip(values).map(|(Self(id), value)| {
            let value = value.extract_error();
            Some(value.map_err(|error| link.sorted(error, About::Session(*id))))
        });
        Ok(answers.collect())
    }
}
