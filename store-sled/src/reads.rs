use cloakroom_store_api::{Error, Held, Record, Result, SessionId, Stats, Timestamp};

use crate::{
    cache::{Known, News, Session},
    error::Failure,
    shared::Shared,
};

/// What a load finds without asking the writer.
#[derive(Debug)]
pub(crate) enum Found {
    Live(Record),
    Nothing,
    /// A session past its deadline, or one that changes all the time: the writer has to be asked.
    Late,
}

/// How often a load reads the trees if there is news each time, before it asks the writer.
const TRIES: u32 = 8;

impl Shared {
    /// Looks for a session in memory; `None` if the trees have to be read.
    pub(crate) fn recall(&self, id: SessionId) -> Result<Option<Found>> {
        Ok(self.remembered(id, self.asked()?).ok())
    }

    /// Looks for a session in memory and in the trees, which may have to be read from the disk.
    ///
    /// The clock is read before the session. One that was live at that time is live in this
    /// call: had it ended in between, it would be gone or another. One that was not may be under
    /// a save that was judged before the deadline and is not published yet. Called dead here, the
    /// session would come back; so the writer is asked, who judges one call after the other. It
    /// need not be asked about what died before the clock's [kept](Self::kept) answer: nothing is
    /// judged at such a time any more, and no restart brings it back.
    pub(crate) fn find(&self, id: SessionId) -> Result<Found> {
        for _ in 0..TRIES {
            let asked = self.asked()?;
            let since = match self.remembered(id, asked) {
                Ok(found) => return Ok(found),
                Err(since) => since,
            };
            let row = self.row(id)?;
            let found = match row.as_ref().map(|row| (row, asked.judge(&row.held))) {
                None | Some((_, Judged::Dead)) => Found::Nothing,
                Some((_, Judged::Late)) => Found::Late,
                Some((row, Judged::Live)) => {
                    let record = row.record(id, asked.now)?;
                    if self.cache.keep(id, since, row.session(&record)) {
                        return Ok(Found::Live(record));
                    }
                    continue;
                }
            };
            if self.cache.is_current(id, since) {
                return Ok(found);
            }
        }
        Ok(Found::Late)
    }

    fn remembered(&self, id: SessionId, asked: Asked) -> Result<Found, News> {
        match self.cache.find(id, Session::clone) {
            Known::Stored(session) => Ok(match asked.judge(&session.held) {
                Judged::Live => Found::Live(session.record(id, asked.now)),
                Judged::Late => Found::Late,
                Judged::Dead => Found::Nothing,
            }),
            Known::Ended => Ok(Found::Nothing),
            Known::Unknown(since) => Err(since),
        }
    }

    /// Counts what is stored while it may change. Unreadable rows are left out.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let Asked { now, .. } = self.asked()?;
        let mut stats = Stats::default();
        for row in self.trees.rows() {
            if let Some((id, mut row)) = row? {
                self.cache.overlay(id, &mut row.held);
                stats.count(&row.held, now);
            }
            if self.is_closing() {
                return Err(Error::unavailable(Failure::Ended));
            }
        }
        Ok(stats)
    }

    fn asked(&self) -> Result<Asked> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        let kept = self.kept();
        let now = self.clock.now();
        Ok(Asked { kept, now })
    }
}

/// When a reader has asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    kept: Timestamp,
    now: Timestamp,
}

enum Judged {
    Live,
    Late,
    Dead,
}

impl Asked {
    fn judge(&self, held: &Held) -> Judged {
        if held.is_live(self.now) {
            Judged::Live
        } else if held.is_live(self.kept) {
            Judged::Late
        } else {
            Judged::Dead
        }
    }
}
