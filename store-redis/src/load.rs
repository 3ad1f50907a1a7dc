use cloakroom_store_api::{BoxError, Error, Record, Result, SessionId};
use redis::Value;

use crate::{
    error,
    header::{self, Header, State},
    link::{Link, stamp},
};

/// Reads a session by a plain `GET`: what Redis still serves is live.
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
    let mut get = redis::cmd("GET");
    get.arg(link.prefix().record(id));
    let value = match link.about(id, &get).await? {
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
