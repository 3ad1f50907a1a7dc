use std::time::Duration;

use cloakroom_store_api::{Error, Result, Saved, SessionId};
use redis::Value;

use crate::{
    error::About,
    header::{self, State},
    link::{Link, Verdict, stamp},
    owners,
    save::Draft,
    scripts::TAKE,
};

/// Stores a new record, by one `SET NX`, in a script if its owner's index is on the same server. Its
/// expiry is relative: Redis needs no clock of ours to end it.
pub(crate) async fn create(link: &Link, draft: Draft) -> Result<Saved> {
    let (id, owner, absolute) = (draft.id, draft.owner.clone(), draft.absolute());
    let is_together = !owner.is_empty() && !link.is_cluster();
    if !is_together {
        owners::index(link, &owner, id, absolute).await?;
    }
    let now = link.now().await?;
    let mark = draft.mark().to_vec();
    let expires_at = now + Duration::from_millis(draft.life());
    let left = draft.life().saturating_sub(1).max(1);
    let value = draft.value(State::Live, now, expires_at);
    let is_stored = match is_together {
        true => owners::index_and_put(link, &owner, id, absolute, &value, left).await?,
        false => {
            let mut is_second = false;
            let is_stored = put(link, id, &value, &mark, left, &mut is_second).await?;
            if is_stored && is_second {
                // Who has ended it in between has taken it out.
                owners::index(link, &owner, id, absolute).await?;
            }
            is_stored
        }
    };
    Ok(match is_stored {
        true => Saved::Stored(stamp(now, expires_at, now)),
        false => Saved::Conflict,
    })
}

/// Stores a value where there is none, or no more than a note that a record has moved away, for
/// so many milliseconds; says whether it is there now, and `is_second` whether it may have ended since
/// it was first.
pub(crate) async fn put(
    link: &Link,
    id: SessionId,
    value: &[u8],
    mark: &[u8],
    left: u64,
    is_second: &mut bool,
) -> Result<bool> {
    let key = link.prefix().record(id);
    let mut set = redis::cmd("SET");
    set.arg(&key).arg(value).arg("NX").arg("PX").arg(left);
    let set = link.ask(&set, is_second).await;
    if set.map_err(|error| link.sorted(error, About::Session(id)))? != Value::Nil {
        return Ok(true);
    }
    // Taken, or this very command was sent again after its answer was lost.
    let mut get = redis::cmd("GETRANGE");
    get.arg(&key).arg(0).arg(header::INSTANTS - 1);
    let found = match link.about(id, &get).await {
        Ok(Value::BulkString(found)) => found,
        Ok(_) | Err(Error::Corrupt { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    if found.first() != Some(&header::MOVED) {
        return Ok(found.get(header::REVISION..) == Some(mark));
    }
    let left = left.to_string();
    let taken = link
        .run(&TAKE, id, &[&key], &[value, left.as_bytes()])
        .await?;
    *is_second |= taken.is_second;
    Ok(taken.verdict == Verdict::Stored)
}
