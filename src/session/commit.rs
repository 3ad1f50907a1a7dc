use std::sync::Arc;

use crate::{
    Committed, Error, Result,
    layer::Config,
    observe::{self, Call, Operation},
    session::{
        changes::Changes,
        expiry::switched,
        shared::{Retry, Shared},
    },
    store::{self, Persistence, Record, Saved, SessionToken},
};

/// A commit to be made: changes to apply to a record, or to none.
#[derive(Debug)]
pub(crate) struct Work {
    pub(super) changes: Arc<Changes>,
    pub(super) base: Option<Arc<Record>>,
    pub(super) remember: Option<Persistence>,
}

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

impl Work {
    /// The record to store in place of `base`; `None` if it would be the same, or empty and new.
    fn next(&self, config: &Config) -> Result<Option<(Record, Option<SessionToken>)>> {
        let Some(base) = &self.base else {
            let token = SessionToken::generate()?;
            let lifetime = config.lifetime(self.remember.unwrap_or(config.default_persistence));
            let empty = Record::new(token.id(), lifetime);
            let data = self.changes.apply(&empty.data)?;
            let next = Record { data, ..empty };
            return Ok((!next.data.is_empty()).then_some((next, Some(token))));
        };
        let next = Record {
            data: self.changes.apply(&base.data)?,
            lifetime: switched(base, self.remember, config),
            ..Record::clone(base)
        };
        let same = next.data == base.data && next.lifetime == base.lifetime;
        Ok((!same).then_some((next, None)))
    }
}
