use cloakroom_store_api::{Error, Record, Result, SessionId, Stats};

use crate::{error::Failure, shared::Shared};

/// What a load finds without asking the writer.
#[derive(Debug)]
pub(crate) enum Found {
    Live(Record),
    Nothing,
    /// A row past its deadline. Only the writer can say that it is dead.
    Late,
}

impl Shared {
    /// Reads a session beside the writer.
    ///
    /// The clock is read before the row. A row that was live at that time is live in this call:
    /// had the session ended in between, its row would be gone or another's. A row that was not
    /// may be under a save or a touch that was judged before the deadline and is not applied
    /// yet. Called dead here, the session would come back; so the writer is asked, who judges
    /// one call after the other. It need not be asked about what died before the clock's
    /// [kept](Self::kept) answer: nothing is judged at such a time any more, and no restart
    /// brings it back.
    pub(crate) fn find(&self, id: SessionId) -> Result<Found> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        let kept = self.kept();
        let now = self.clock.now();
        let Some(row) = self.trees.row(id)? else {
            return Ok(Found::Nothing);
        };
        if row.held.is_live(now) {
            row.record(id, now).map(Found::Live)
        } else if row.held.is_live(kept) {
            Ok(Found::Late)
        } else {
            Ok(Found::Nothing)
        }
    }

    /// Counts what is stored while it may change. Unreadable rows are left out.
    pub(crate) fn stats(&self) -> Result<Stats> {
        if let Some(broken) = self.broken() {
            return Err(broken);
        }
        let now = self.clock.now();
        let mut stats = Stats::default();
        for row in self.trees.rows() {
            if let Some(row) = row? {
                stats.count(&row.held, now);
            }
            if self.is_closing() {
                return Err(Error::unavailable(Failure::Ended));
            }
        }
        Ok(stats)
    }
}
