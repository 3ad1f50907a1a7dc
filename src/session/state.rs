use std::{mem, sync::Arc};

use crate::{
    Committed, Error, Result,
    session::{
        changes::Changes,
        commit::Work,
        expiry::{renews_cookie, touch_pays},
        turns::Turns,
    },
    store::{Lifetime, Owner, Persistence, Record, SessionId, SessionToken, Stamp},
};

/// What one request knows of its session. Nothing here waits.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) turns: Turns,
    /// The handler has asked for the session.
    pub(crate) looked: bool,
    /// The store has been asked, or there was nothing to ask it.
    pub(crate) loaded: bool,
    /// The store could not be asked (M15).
    pub(crate) degraded: bool,
    /// A change was asked for that a degraded session cannot make.
    pub(crate) doomed: bool,
    /// The record as it was last loaded or stored, and the token of its id.
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) token: Option<SessionToken>,
    /// What is to be committed.
    pub(crate) changes: Changes,
    /// What is being committed, or was when that failed.
    in_flight: Option<Arc<Changes>>,
    pub(crate) remember: Option<Persistence>,
    /// The session ended elsewhere while this request used it (M5).
    pub(crate) gone: bool,
    /// What it was before that: somebody may have moved it to another id.
    lost: Option<Arc<Record>>,
    /// The record was written, so that no touch is needed (M8).
    saved: bool,
    pub(crate) cookie: CookieDue,
    pub(crate) probe: bool,
    /// The response head has left (M20).
    pub(crate) sent: bool,
}

/// Which cookie of ours the response gets (M12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CookieDue {
    #[default]
    Nothing,
    Session,
    Removal,
}

/// Where the JSON text of an entry is.
#[derive(Clone)]
pub(crate) enum Entry {
    /// What a change says.
    Changed(Option<String>),
    /// What the record has, if there is one.
    Stored(Option<Arc<Record>>),
}

impl State {
    /// The JSON text of an entry, as this request sees it.
    pub(crate) fn json(&self, key: &str) -> Option<&str> {
        match self.changed(key) {
            Some(changed) => changed,
            None => self.record.as_ref()?.data.get(key),
        }
    }

    /// The same, to be looked at without the lock.
    pub(crate) fn entry(&self, key: &str) -> Entry {
        match self.changed(key) {
            Some(changed) => Entry::Changed(changed.map(str::to_owned)),
            None => Entry::Stored(self.record.clone()),
        }
    }

    /// What this request's changes say of an entry, if anything.
    fn changed(&self, key: &str) -> Option<Option<&str>> {
        let in_flight = || self.in_flight.as_ref()?.get(key);
        self.changes.get(key).or_else(in_flight)
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let entries = self.record.iter().flat_map(|record| record.data.iter());
        let stored = entries.map(|(key, _)| key.to_owned()).collect();
        let before = match &self.in_flight {
            Some(in_flight) => in_flight.keys(stored),
            None => stored,
        };
        self.changes.keys(before)
    }

    /// Refuses what cannot be done to a session that could not be loaded (M15).
    pub(crate) fn check_loaded(&self) -> Result<()> {
        match self.degraded {
            true => Err(Error::degraded()),
            false => Ok(()),
        }
    }

    /// Refuses to change entries of a session that would need a new cookie for it (M20).
    pub(crate) fn check_writable(&self) -> Result<()> {
        match &self.record {
            None => self.check_can_get_new_id(),
            Some(_) => self.check_loaded(),
        }
    }

    /// Refuses a new id if there is no response to carry it (M20).
    pub(crate) fn check_can_get_new_id(&self) -> Result<()> {
        self.check_loaded()?;
        match self.sent {
            true => Err(Error::ResponseSent),
            false => Ok(()),
        }
    }

    /// The session and its owner, if it has one.
    pub(crate) fn owned(&self) -> Result<Option<(SessionId, Owner)>> {
        self.check_loaded()?;
        Ok(self.record.as_deref().and_then(owned))
    }

    /// The same, even if the session ended elsewhere while this request used it: whoever ended it
    /// may be one of the others that are to be ended.
    pub(crate) fn owned_or_lost(&self) -> Result<Option<(SessionId, Owner)>> {
        self.check_loaded()?;
        Ok(self.record_or_lost().and_then(|record| owned(&record)))
    }

    pub(crate) fn record_or_lost(&self) -> Option<Arc<Record>> {
        self.record.clone().or_else(|| self.lost.clone())
    }

    pub(crate) fn lifetime(&self) -> Option<Lifetime> {
        self.record.as_ref().map(|record| record.lifetime)
    }

    pub(crate) fn id(&self) -> Option<SessionId> {
        self.record.as_ref().map(|record| record.id)
    }

    pub(crate) fn has_pending(&self) -> bool {
        let toggled = |lifetime: Lifetime| {
            self.remember
                .is_some_and(|wanted| wanted != lifetime.persistence())
        };
        !self.changes.is_empty() || self.in_flight.is_some() || self.lifetime().is_some_and(toggled)
    }

    /// Takes what is to be committed; it stays visible until the commit has ended.
    pub(crate) fn begin_commit(&mut self) -> Result<Work, Committed> {
        if self.gone {
            self.discard();
            return Err(Committed::Gone);
        }
        if !self.has_pending() {
            return Err(Committed::Unchanged);
        }
        self.restore();
        let changes = Arc::new(mem::take(&mut self.changes));
        self.in_flight = Some(Arc::clone(&changes));
        Ok(Work {
            changes,
            base: self.record.clone(),
            remember: self.remember,
        })
    }

    /// Puts back what could not be committed, before what came after it.
    fn restore(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            self.changes = Arc::unwrap_or_clone(in_flight).then(mem::take(&mut self.changes));
        }
    }

    /// The commit had nothing to store: the newest record says all that was to be said.
    pub(crate) fn unchanged(&mut self, newest: Option<Arc<Record>>) {
        self.in_flight = None;
        self.record = newest;
    }

    /// The changes in flight were stored.
    pub(crate) fn committed(
        &mut self,
        before: Option<&Record>,
        record: Record,
        token: Option<SessionToken>,
    ) {
        self.in_flight = None;
        self.stored(before, record, token);
    }

    /// A record was stored in place of `before`, under a token if the id is new.
    pub(crate) fn stored(
        &mut self,
        before: Option<&Record>,
        record: Record,
        token: Option<SessionToken>,
    ) {
        if token.is_some() || before.is_none_or(|before| renews_cookie(before, &record)) {
            self.cookie = CookieDue::Session;
        }
        if token.is_some() {
            self.token = token;
        }
        self.remember = self
            .remember
            .filter(|wanted| *wanted != record.lifetime.persistence());
        self.record = Some(Arc::new(record));
        self.lost = None;
        self.gone = false;
        self.saved = true;
    }

    /// The session ended elsewhere: this request's changes go with it (M5).
    pub(crate) fn ended_elsewhere(&mut self) {
        self.discard();
        self.lost = self.record_or_lost();
        self.record = None;
        self.token = None;
        self.gone = true;
        self.cookie = CookieDue::Nothing;
    }

    /// The handler ended the session (M6); `had_cookie` if the browser has one to forget.
    pub(crate) fn ended(&mut self, had_cookie: bool) {
        self.discard();
        self.record = None;
        self.lost = None;
        self.token = None;
        self.gone = false;
        self.cookie = match had_cookie {
            true => CookieDue::Removal,
            false => CookieDue::Nothing,
        };
    }

    /// From here on no cookie can follow (M20).
    pub(crate) fn sealed(&mut self) -> &Self {
        self.sent = true;
        self.remember = None;
        self
    }

    /// Drops what is not stored.
    pub(crate) fn discard(&mut self) {
        self.changes = Changes::default();
        self.in_flight = None;
        self.remember = None;
    }

    /// The session to touch at the end of the request, if it pays (M8).
    pub(crate) fn touch_due(&self) -> Option<&Record> {
        let record = self
            .record
            .as_deref()
            .filter(|_| !self.saved && !self.sent)?;
        touch_pays(record).then_some(record)
    }

    pub(crate) fn touched(&mut self, stamp: Stamp) {
        if let Some(record) = &mut self.record {
            let touched = Record {
                stamp: Some(stamp),
                ..Record::clone(record)
            };
            if renews_cookie(record, &touched) && self.cookie == CookieDue::Nothing {
                self.cookie = CookieDue::Session;
            }
            *record = Arc::new(touched);
        }
    }
}

fn owned(record: &Record) -> Option<(SessionId, Owner)> {
    Some((record.id, record.owner.clone()?))
}

impl Entry {
    pub(crate) fn json(&self, key: &str) -> Option<&str> {
        match self {
            Self::Changed(json) => json.as_deref(),
            Self::Stored(record) => record.as_ref()?.data.get(key),
        }
    }
}
