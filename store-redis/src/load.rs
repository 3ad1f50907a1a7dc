use cloakroom_store_api::{BoxError, Error, Record, Result, SessionId};
use redis::{RedisError, Value};

use crate::{
    error,
    header::{self, Header, State},
    lane::{self, Answers, Call, Lane},
    link::{Link, Shared, stamp},
    prefix::Prefix,
};

/// Reads a session by a plain `GET`, or with others by an `MGET`: what Redis still serves is live.
pub(crate) async fn load(link: &Link, id: SessionId) -> Result<Option<Record>> {
    match read(link, id).await? {
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

pub(crate) async fn read(link: &Link, id: SessionId) -> Result<Option<Found>> {
    let Some(value) = lane::ask(link, Load(id)).await? else {
        return Ok(None);
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

/// Asks for the value of a session's key.
pub(crate) struct Load(SessionId);

impl Call for Load {
    type Answer = Option<Vec<u8>>;

    fn lane(shared: &Shared) -> &Lane<Self> {
        &shared.loads
    }

    fn id(&self) -> SessionId {
        self.0
    }

    fn size(&self) -> usize {
        Prefix::LIMIT
    }

    async fn send(
        calls: &[&Self],
        link: &Link,
        is_second: &mut bool,
    ) -> Result<Answers<Self>, RedisError> {
        if let [Self(id)] = calls {
            let mut get = redis::cmd("GET");
            get.arg(link.prefix().record(*id));
            let value = match link.ask(&get, is_second).await? {
                Value::Nil => Ok(None),
                Value::BulkString(value) => Ok(Some(value)),
                _ => Err(error::unreadable(*id)),
            };
            return Ok(vec![Some(value)]);
        }
        let mut get = redis::cmd("MGET");
        for Self(id) in calls {
            get.arg(link.prefix().record(*id));
        }
        let values: Vec<Value> = redis::from_redis_value(link.ask(&get, is_second).await?)?;
        let answers = values.into_iter().map(|value| match value {
            Value::BulkString(value) => Some(Ok(Some(value))),
            // Nothing, or of another type: `MGET` does not tell.
            _ => None,
        });
        Ok(answers.collect())
    }
}
