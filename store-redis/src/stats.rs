use std::{collections::HashSet, sync::Arc};

use cloakroom_store_api::{Error, Persistence, Result, SessionId, Stats};
use futures_util::future::join_all;
use redis::Value;

use crate::{
    header::{self, Header, State},
    link::{Link, Shared},
};

/// How many keys a page has, about.
const PAGE: usize = 500;

pub(crate) async fn stats(shared: &Arc<Shared>) -> Result<Stats> {
    let mut stats = Stats::default();
    // A scan may show a key twice.
    let mut seen = HashSet::new();
    for server in Link::new(shared).servers().await? {
        let mut cursor = 0;
        loop {
            let link = Link::new(shared);
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(link.prefix().pattern());
            scan.arg("COUNT").arg(PAGE).arg("TYPE").arg("string");
            let (next, keys): (u64, Vec<Vec<u8>>) = link.query_at(&server, &scan).await?;
            let mut ids: Vec<_> = keys
                .iter()
                .filter_map(|key| link.prefix().id(key))
                .collect();
            ids.retain(|&id| seen.insert(id));
            for header in join_all(ids.into_iter().map(|id| header(&link, id))).await {
                count(&mut stats, header?);
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(stats)
}

fn count(stats: &mut Stats, header: Option<Header>) {
    let Some(Header {
        state: State::Live,
        persistence,
        expires_at,
        ..
    }) = header
    else {
        return;
    };
    match persistence {
        Persistence::Browser => stats.browser += 1,
        Persistence::Persistent => stats.persistent += 1,
    }
    let oldest = stats.oldest_expiry.get_or_insert(expires_at.into());
    *oldest = (*oldest).min(expires_at.into());
}

/// The header of a session that may have ended since; `None` also if it is unreadable.
async fn header(link: &Link, id: SessionId) -> Result<Option<Header>> {
    let mut range = redis::cmd("GETRANGE");
    range
        .arg(link.prefix().record(id))
        .arg(0)
        .arg(header::LENGTH - 1);
    match link.about(id, &range).await {
        Ok(Value::BulkString(bytes)) => Ok(Header::decode(&bytes).ok().flatten()),
        Ok(_) | Err(Error::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
