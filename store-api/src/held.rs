use crate::{Age, Lifetime, Persistence, Record, Saved, Stamp, Stats, Timestamp};

/// What a store that judges in its own process keeps of a session to judge by.
///
/// The contract's decisions stand here once, as pure functions of what is stored, what is asked
/// and what time it is; such a store calls them under whatever makes one step atomic, and does
/// what the [`Verdict`] says. A database server decides by a statement of its own instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The revision stored.
    pub revision: u64,
    /// The lifetime stored.
    pub lifetime: Lifetime,
    /// When the session began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a store has to do about a save or a rotation.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Store the record with this, in place of what the id (or the old id) had.
    Store(Held),
    /// Change nothing.
    Conflict,
    /// Change nothing: there is no live session.
    Gone,
    /// Remove what the id (or the old id) had: the new deadline would not be after now.
    End,
}

impl Verdict {
    /// What the caller is told.
    pub fn answer(&self, now: Timestamp) -> Saved {
        match self {
            Self::Store(held) => Saved::Stored(held.stamp(now)),
            Self::Conflict => Saved::Conflict,
            Self::Gone | Self::End => Saved::Gone,
        }
    }
}

impl Held {
    /// Whether the session still lives. At its very deadline it does not.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// What the store says of it.
    #[must_use]
    pub fn stamp(&self, now: Timestamp) -> Stamp {
        Stamp {
            created_at: self.created_at.into(),
            expires_at: self.expires_at.into(),
            remaining: self.expires_at.since(now),
        }
    }

    /// Decides a save, given what is stored under the record's id (S1–S3).
    pub fn save(found: Option<&Self>, record: &Record, now: Timestamp) -> Verdict {
        let live = found.filter(|held| held.is_live(now));
        match live {
            None if record.revision == 0 => Self::begin(record, now, now),
            None => Verdict::Gone,
            Some(held) if record.revision == held.revision && record.revision > 0 => {
                Self::begin(record, held.created_at, now)
            }
            Some(_) => Verdict::Conflict,
        }
    }

    /// Decides a rotation, given what is stored under both ids (R1–R3).
    ///
    /// On [`Verdict::Store`] the old id loses its record in the same step.
    pub fn rotate(
        old: Option<&Self>,
        new: Option<&Self>,
        record: &Record,
        age: Age,
        now: Timestamp,
    ) -> Verdict {
        let Some(old) = old.filter(|held| held.is_live(now) && record.revision > 0) else {
            return Verdict::Gone;
        };
        if old.revision != record.revision || new.is_some_and(|held| held.is_live(now)) {
            return Verdict::Conflict;
        }
        let created_at = match age {
            Age::Keep => old.created_at,
            Age::Restart => now,
        };
        Self::begin(record, created_at, now)
    }

    /// Decides a touch: what is held afterwards, or `None` if there is nothing to touch (T1, T2).
    #[must_use]
    pub fn touch(&self, revision: u64, now: Timestamp) -> Option<Self> {
        (self.is_live(now) && self.revision == revision).then(|| Self {
            expires_at: self
                .lifetime
                .expires_at(self.created_at, now)
                .max(self.expires_at),
            ..*self
        })
    }

    fn begin(record: &Record, created_at: Timestamp, now: Timestamp) -> Verdict {
        let held = Self {
            revision: record.revision + 1,
            lifetime: record.lifetime,
            created_at,
            expires_at: record.lifetime.expires_at(created_at, now),
        };
        if held.is_live(now) {
            Verdict::Store(held)
        } else {
            Verdict::End
        }
    }
}

impl Stats {
    /// Counts one more record.
    pub fn count(&mut self, held: &Held, now: Timestamp) {
        match (held.is_live(now), held.lifetime.persistence()) {
            (false, _) => self.expired += 1,
            (true, Persistence::Browser) => self.browser += 1,
            (true, Persistence::Persistent) => self.persistent += 1,
        }
        let expiry = held.expires_at.into();
        self.oldest_expiry = Some(
            self.oldest_expiry
                .map_or(expiry, |oldest| oldest.min(expiry)),
        );
    }
}
