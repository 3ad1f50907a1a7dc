//! Which sessions an owner has: a sorted set for each, a session's score the time that it cannot
//! outlive.
//!
//! A session is entered before it is stored and taken out after it has ended, so that the index
//! may name too many but never too few. Who reads it looks at the records themselves.

use std::collections::HashSet;

use cloakroom_store_api::{Error, Owner, Record, Result, SessionId};
use futures_util::future::join_all;

use crate::{
    error::About,
    header::State,
    link::{Link, Verdict},
    load::{Found, read},
    scripts::{CREATE, EXPIRE, INDEX},
};

/// Enters a session that can live for so many milliseconds.
pub(crate) async fn index(link: &Link, owner: &str, id: SessionId, life: u64) -> Result<()> {
    let (key, life) = (link.prefix().owner(owner), life.to_string());
    let entered = link
        .answer(&INDEX, &[&key], &[id.as_bytes(), life.as_bytes()])
        .await;
    entered
        .map(drop)
        .map_err(|error| link.sorted(error, About::Store))
}

/// The same, and stores its value where there is none, for so many milliseconds, in one step; says
/// whether it is there now. For where all keys are on one server.
pub(crate) async fn index_and_put(
    link: &Link,
    owner: &str,
    id: SessionId,
    life: u64,
    value: &[u8],
    left: u64,
) -> Result<bool> {
    let keys = [&*link.prefix().owner(owner), &*link.prefix().record(id)];
    let [life, left] = [life, left].map(|millis| millis.to_string());
    let arguments = [id.as_bytes(), life.as_bytes(), value, left.as_bytes()];
    let stored = link.answer(&CREATE, &keys, &arguments).await;
    // Only the index can be of a wrong type: a record's key that is, is taken.
    let stored = stored.map_err(|error| link.sorted(error, About::Store))?;
    Ok(stored.about(id)?.verdict == Verdict::Stored)
}

/// Takes sessions out that have ended. What fails here leaves an entry that its score ends.
pub(crate) async fn unindex(link: &Link, owner: &[u8], ids: &[SessionId]) {
    let Ok(owner) = str::from_utf8(owner) else {
        return;
    };
    if owner.is_empty() || ids.is_empty() {
        return;
    }
    let mut remove = redis::cmd("ZREM");
    remove.arg(link.prefix().owner(owner));
    for id in ids {
        remove.arg(&id.as_bytes()[..]);
    }
    let _ = link.query::<i64>(&remove).await;
}

async fn indexed(link: &Link, owner: &Owner) -> Result<Vec<SessionId>> {
    let mut range = redis::cmd("ZRANGE");
    range.arg(link.prefix().owner(owner)).arg(0).arg(-1);
    let members: Vec<Vec<u8>> = link.query(&range).await?;
    let ids = members.into_iter().filter_map(|id| id.try_into().ok());
    Ok(ids.map(SessionId::from_bytes).collect())
}

/// Those of these sessions that are the owner's, each with its record unless that cannot be read;
/// then it is the owner's as far as can be told.
async fn owned(
    link: &Link,
    owner: &Owner,
    ids: &[SessionId],
) -> Result<Vec<(SessionId, Option<Found>)>> {
    let mut owned = Vec::new();
    for page in ids.chunks(PAGE) {
        let found = join_all(page.iter().map(|&id| read(link, id))).await;
        for (&id, found) in page.iter().zip(found) {
            match found {
                Ok(Some(found)) if found.record.owner.as_ref() == Some(owner) => {
                    owned.push((id, Some(found)));
                }
                Ok(_) => {}
                Err(Error::Corrupt { .. }) => owned.push((id, None)),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(owned)
}

/// How many records are asked for at once.
const PAGE: usize = 64;

pub(crate) async fn list(link: &Link, owner: &Owner) -> Result<Vec<Record>> {
    let ids = indexed(link, owner).await?;
    let found = owned(link, owner, &ids).await?;
    let read = found.into_iter().filter_map(|(_, found)| found);
    let live = read.filter(|found| found.state == State::Live);
    let mut records: Vec<_> = live.map(|found| found.record).collect();
    records.sort_by_key(|record| record.stamp.map(|stamp| stamp.created_at));
    records.reverse();
    Ok(records)
}

/// Ends all sessions of an owner but one.
///
/// A session may move to another id meanwhile, whose entry comes before its old record ends. So
/// it is done only when the index names nothing new and none of what it names is there, three
/// times in a row: once may be just before a record is stored that the index names already, and
/// what that one moves on to is new to the index.
pub(crate) async fn expire_all(
    link: &Link,
    owner: &Owner,
    except: Option<SessionId>,
) -> Result<u64> {
    let (mut ended, mut quiet) = (0, 0);
    let mut known = HashSet::new();
    while quiet < 3 {
        let mut ids = indexed(link, owner).await?;
        ids.retain(|&id| Some(id) != except);
        if ids.is_empty() {
            break;
        }
        quiet += 1;
        for &id in &ids {
            if known.insert(id) {
                quiet = 0;
            }
        }
        let mut gone = Vec::new();
        for (id, found) in owned(link, owner, &ids).await? {
            let is_ended = end(link, id, owner).await?.0;
            ended += u64::from(is_ended);
            // What cannot be read may be somebody else's, who has it again each time.
            if is_ended || found.is_some() {
                quiet = 0;
                gone.push(id);
            }
        }
        unindex(link, owner.as_bytes(), &gone).await;
    }
    Ok(ended)
}

/// Ends a session; says whether it was live.
pub(crate) async fn expire(link: &Link, id: SessionId) -> Result<bool> {
    let (was_live, owner) = end(link, id, "").await?;
    unindex(link, &owner, &[id]).await;
    Ok(was_live)
}

/// Ends a session if it is this owner's, or anybody's if none is named.
async fn end(link: &Link, id: SessionId, owner: &str) -> Result<(bool, Vec<u8>)> {
    let key = link.prefix().record(id);
    let answer = link.run(&EXPIRE, id, &[&key], &[owner.as_bytes()]).await?;
    Ok((answer.verdict == Verdict::Stored, answer.owner))
}
