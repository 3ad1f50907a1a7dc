//! Which sessions an owner has: a sorted set for each, a session's score the time that it cannot
//! outlive.
//!
//! A session is entered before it is stored and taken out after it has ended, or in the same step, so
//! that the index may name too many but never too few. Who reads it looks at the records themselves.

use std::collections::HashSet;

use cloakroom_store_api::{Error, Owner, Record, Result, SessionId};
use futures_util::future::join_all;

use crate::{
    error::About,
    header::State,
    link::{Link, Verdict},
    load::{Found, found, values},
    scripts::{CREATE, EXPIRE, INDEX},
};

/// Enters a session that can live for so many milliseconds, if it has an owner.
pub(crate) async fn index(link: &Link, owner: &str, id: SessionId, life: u64) -> Result<()> {
    if owner.is_empty() {
        return Ok(());
    }
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

/// How many sessions are asked for at once.
const PAGE: usize = 64;

/// The owner's live sessions, newest first.
///
/// A session that has moved to another id since the index was read is not there any more, and the
/// index names the new one: so it is read again if anything was missing. On one server it names the
/// old one no more by then, and what it names still need not be read again. In a cluster a session
/// that is just moving may be seen under both ids or none.
pub(crate) async fn list(link: &Link, owner: &Owner) -> Result<Vec<Record>> {
    let mut ids = indexed(link, owner).await?;
    let (mut known, mut records) = (HashSet::new(), Vec::new());
    loop {
        let (found, are_all_there) = owned(link, owner, &ids).await?;
        records.extend(found);
        known.extend(ids);
        let named: HashSet<_> = match are_all_there {
            true => HashSet::new(),
            false => indexed(link, owner).await?.into_iter().collect(),
        };
        if named.is_subset(&known) {
            records.sort_by_key(|record| record.stamp.map(|stamp| stamp.created_at));
            records.reverse();
            return Ok(records);
        }
        if link.is_cluster() {
            records.clear();
            ids = named.into_iter().collect();
        } else {
            records.retain(|record| named.contains(&record.id));
            ids = named.difference(&known).copied().collect();
        }
    }
}

/// Those of these sessions that are live and the owner's; and whether all were there.
async fn owned(link: &Link, owner: &Owner, ids: &[SessionId]) -> Result<(Vec<Record>, bool)> {
    let (mut records, mut are_all_there) = (Vec::new(), true);
    for page in ids.chunks(PAGE) {
        for (&id, value) in page.iter().zip(values(link, page).await?) {
            match found(link, id, value).await {
                Ok(Some(Found { record, state })) => {
                    if state == State::Live && record.owner.as_ref() == Some(owner) {
                        records.push(record);
                    }
                }
                Ok(None) => are_all_there = false,
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok((records, are_all_there))
}

/// Ends all sessions of an owner but one.
///
/// A session may move to another id meanwhile, which the index names by then. So it is done only
/// when the index names nothing new and none of what it names is there; in a cluster, three times in
/// a row: once may be just before a record is stored that the index names already, and what that one
/// moves on to is new to the index.
pub(crate) async fn expire_all(
    link: &Link,
    owner: &Owner,
    except: Option<SessionId>,
) -> Result<u64> {
    let enough = if link.is_cluster() { 3 } else { 1 };
    let (mut ended, mut quiet) = (0, 0);
    let mut known = HashSet::new();
    while quiet < enough {
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
        for page in ids.chunks(PAGE) {
            let ends = join_all(page.iter().map(|&id| end(link, id, owner))).await;
            let mut gone = Vec::new();
            for (&id, end) in page.iter().zip(ends) {
                let (was_live, whose) = end?;
                ended += u64::from(was_live);
                if was_live || !whose.is_empty() {
                    quiet = 0;
                    gone.push(id);
                }
            }
            unindex(link, owner.as_bytes(), &gone).await;
        }
    }
    Ok(ended)
}

/// Ends a session; says whether it was live.
pub(crate) async fn expire(link: &Link, id: SessionId) -> Result<bool> {
    let (was_live, owner) = end(link, id, "").await?;
    unindex(link, &owner, &[id]).await;
    Ok(was_live)
}

/// Ends a session if it is this owner's, or anybody's if none is named; says whether it was live, and
/// whose what has ended was.
async fn end(link: &Link, id: SessionId, owner: &str) -> Result<(bool, Vec<u8>)> {
    let key = link.prefix().record(id);
    let answer = link.run(&EXPIRE, id, &[&key], &[owner.as_bytes()]).await?;
    Ok((answer.verdict == Verdict::Stored, answer.owner))
}
