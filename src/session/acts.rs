//! What acts when it is called (M6). Each runs when it is its turn, and to its end.

use std::sync::Arc;

use crate::{
    Result, SessionInfo,
    observe::{self, Call, Operation},
    session::shared::{Retry, Shared},
    store::{Age, Data, Owner, Record, Saved, SessionId, SessionToken},
};

/// Gives the session a new id and an owner, and begins a new absolute timeout.
pub(crate) async fn sign_in(shared: Arc<Shared>, owner: Owner) -> Result<()> {
    let (mut base, wanted) = {
        let state = shared.state();
        state.check_can_get_new_id()?;
        (state.record.clone(), state.remember)
    };
    let stranger = |record: &Record| record.owner.as_ref().is_some_and(|other| *other != owner);
    let mut was_stranger = false;
    let mut retry = Retry::default();
    loop {
        was_stranger |= base.as_deref().is_some_and(stranger);
        let token = SessionToken::generate()?;
        let same_visitor = base.as_deref().filter(|record| !stranger(record));
        let kept = same_visitor.map(|record| record.lifetime.persistence());
        let persistence = wanted.or(kept).unwrap_or(shared.config.default_persistence);
        let next = Record {
            revision: base.as_ref().map_or(0, |record| record.revision),
            owner: Some(owner.clone()),
            data: same_visitor.map_or_else(Data::default, |record| record.data.clone()),
            ..Record::new(token.id(), shared.config.lifetime(persistence))
        };
        let answer = match &base {
            Some(old) => rotated(&shared, old.id, &next, Age::Restart).await?,
            None => shared.save(&next).await?,
        };
        match answer {
            Saved::Stored(stamp) => {
                let mut state = shared.state();
                if was_stranger {
                    state.discard();
                }
                state.stored(base.as_deref(), next.stored(stamp), Some(token));
                return Ok(());
            }
            // Nobody was signed out by this: the visitor has just proved who they are.
            Saved::Gone if base.is_some() => base = None,
            Saved::Gone => {
                shared.state().ended_elsewhere();
                return Ok(());
            }
            Saved::Conflict => {
                retry.again().await?;
                if let Some(old) = base {
                    base = shared.load_record(old.id).await?;
                }
            }
        }
    }
}

/// Gives the session a new id.
pub(crate) async fn rotate(shared: Arc<Shared>) -> Result<()> {
    let mut base = {
        let state = shared.state();
        state.check_can_get_new_id()?;
        state.record.clone()
    };
    let mut retry = Retry::default();
    while let Some(old) = base {
        let token = SessionToken::generate()?;
        let next = Record {
            id: token.id(),
            ..Record::clone(&old)
        };
        match rotated(&shared, old.id, &next, Age::Keep).await? {
            Saved::Stored(stamp) => {
                shared
                    .state()
                    .stored(Some(&old), next.stored(stamp), Some(token));
                return Ok(());
            }
            Saved::Gone => base = None,
            Saved::Conflict => {
                retry.again().await?;
                base = shared.load_record(old.id).await?;
            }
        }
        if base.is_none() {
            shared.state().ended_elsewhere();
        }
    }
    Ok(())
}

/// Ends the session on the server and has the browser forget it.
pub(crate) async fn end(shared: Arc<Shared>) -> Result<()> {
    let record = {
        let state = shared.state();
        state.check_loaded()?;
        state.record_or_lost()
    };
    // Where the browser sent several, another would be the session of the next request.
    for (id, _) in shared.candidates() {
        if record.as_ref().is_none_or(|record| record.id != id) {
            expire(&shared, id).await?;
        }
    }
    if let Some(record) = &record
        && !expire(&shared, record.id).await?
    {
        end_what_was_rotated(&shared, record).await?;
    }
    let had_cookie = shared.config.cookie.has_session(shared.cookies());
    shared.state().ended(had_cookie);
    Ok(())
}

/// Ends the session under the id that other requests have given it meanwhile: it has the same
/// owner and, to the millisecond, the same beginning.
async fn end_what_was_rotated(shared: &Shared, record: &Record) -> Result<()> {
    let (Some(owner), Some(stamp)) = (&record.owner, record.stamp) else {
        return Ok(());
    };
    let mut retry = Retry::default();
    let mut was_missing = false;
    loop {
        let call = Call::begin(Operation::List, record.id);
        let listed = call.ended(shared.config.store.list(owner).await, observe::done)?;
        let same = listed.iter().filter(|found| {
            let found = found.stamp.map(|stamp| stamp.created_at);
            found == Some(stamp.created_at)
        });
        let (mut is_missing, mut is_ended) = (true, true);
        for found in same {
            is_missing = false;
            is_ended &= expire(shared, found.id).await?;
        }
        // What was listed may have been rotated again. A list may also miss what is rotated while
        // the store makes it.
        if is_ended && (!is_missing || was_missing) {
            return Ok(());
        }
        was_missing = is_missing;
        retry.again().await?;
    }
}

async fn expire(shared: &Shared, id: SessionId) -> Result<bool> {
    let call = Call::begin(Operation::End, id);
    Ok(call.ended(shared.config.store.expire(id).await, observe::ended)?)
}

/// All sessions of the owner.
pub(crate) async fn sessions(shared: Arc<Shared>) -> Result<Vec<SessionInfo>> {
    let Some((current, owner)) = shared.state().owned()? else {
        return Ok(Vec::new());
    };
    let call = Call::begin(Operation::List, current);
    let records = call.ended(shared.config.store.list(&owner).await, observe::done)?;
    let infos = records.into_iter().filter_map(|record| {
        let stamp = record.stamp?;
        Some(SessionInfo {
            id: record.id,
            persistence: record.lifetime.persistence(),
            created_at: stamp.created_at,
            expires_at: stamp.expires_at,
            current: record.id == current,
        })
    });
    Ok(infos.collect())
}

/// Ends all other sessions of the owner; says how many.
pub(crate) async fn end_others(shared: Arc<Shared>) -> Result<u64> {
    let Some((id, owner)) = shared.state().owned_or_lost()? else {
        return Ok(0);
    };
    let call = Call::begin(Operation::EndOthers, id);
    let ended = shared.config.store.expire_owner(&owner, Some(id)).await;
    Ok(call.ended(ended, observe::done)?)
}

/// Reads the session again; says whether it lives.
pub(crate) async fn reload(shared: Arc<Shared>) -> Result<bool> {
    let id = {
        let state = shared.state();
        state.check_loaded()?;
        match state.id() {
            Some(id) => id,
            None => return Ok(false),
        }
    };
    let found = shared.load_record(id).await?;
    let mut state = shared.state();
    match found {
        Some(record) => state.record = Some(record),
        None => state.ended_elsewhere(),
    }
    Ok(state.record.is_some())
}

async fn rotated(shared: &Shared, old: SessionId, next: &Record, age: Age) -> Result<Saved> {
    shared.check_size(next)?;
    let call = Call::begin(Operation::Rotate, old);
    let rotated = shared.config.store.rotate(old, next, age).await;
    Ok(call.ended(rotated, observe::saved)?)
}
