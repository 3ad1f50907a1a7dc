use crate::{
    Committed, Error, Result,
    observe::{self, Call, Operation},
    session::shared::{Retry, Shared},
    store::{self, Saved},
};

/// Stores what this request changed (M4, M5). It is the caller's turn.
pub(crate) async fn commit(shared: &Shared) -> Result<Committed> {
    if shared.state().doomed {
        return Err(Error::degraded());
    }
    let begun = shared.state().begin_commit();
    let mut work = match begun {
        Ok(work) => work,
        Err(nothing_to_do) => return Ok(nothing_to_do),
    };
    let mut retry = Retry::default();
    loop {
        let Some((next, token)) = work.next(&shared.config)? else {
            shared.state().unchanged(work.base);
            return Ok(Committed::Unchanged);
        };
        if token.is_some() {
            shared.state().check_writable()?;
        }
        match shared.save(&next).await? {
            Saved::Stored(stamp) => {
                let base = work.base.as_deref();
                shared.state().committed(base, next.stored(stamp), token);
                return Ok(Committed::Saved);
            }
            Saved::Gone => {
                shared.state().ended_elsewhere();
                return Ok(Committed::Gone);
            }
            Saved::Conflict => retry.again().await?,
        }
        if work.base.is_some() {
            work.base = shared.load_record(next.id).await?;
            if work.base.is_none() {
                shared.state().ended_elsewhere();
                return Ok(Committed::Gone);
            }
        }
    }
}

/// Keeps a session that was used from expiring, if it pays (M8). It is the caller's turn.
///
/// A failure is on record and costs nobody a response.
pub(crate) async fn touch(shared: &Shared) {
    let due = shared
        .state()
        .touch_due()
        .map(|record| (record.id, record.revision));
    let Some((id, revision)) = due else { return };
    let call = Call::begin(Operation::Touch, id);
    let touched = shared.config.store.touch(id, revision).await;
    match call.ended(touched, observe::touched) {
        Ok(Some(stamp)) => shared.state().touched(stamp),
        Err(failure @ store::Error::Corrupt { .. }) => observe::corrupt(&failure),
        Ok(None) | Err(_) => {}
    }
}

/// What the end of a request has to do for the session. It is the caller's turn.
pub(crate) async fn finish(shared: &Shared) -> Result<()> {
    commit(shared).await?;
    touch(shared).await;
    Ok(())
}
