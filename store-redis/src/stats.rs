use std::{collections::HashSet, sync::Arc};

use cloakroom_store_api::{Error, Persistence, Result, SessionId, Stats};
use futures_util::future::join_all;
use redis::Value;

use crate::{
    header::{self, Header, State},
    link::{Link, Shared},
    scan::Scan,
};

pub(crate) async fn stats(shared: &Arc<Shared>) -> Result<Stats> {
    let mut stats = Stats::default();
    // A scan may show a key twice.
    let mut seen = HashSet::new();
    let mut scan = Scan::new(shared, shared.prefix.pattern()).await?;
    while let Some(keys) = scan.page().await? {
        let link = Link::new(shared);
        let ids = keys.iter().filter_map(|key| shared.prefix.id(key));
        let new: Vec<_> = ids.filter(|&id| seen.insert(id)).collect();
        for header in join_all(new.into_iter().map(|id| header(&link, id))).await {
            count(&mut stats, header?);
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
