use std::time::Duration;

use time::OffsetDateTime;

use crate::{Data, Lifetime, Owner, SessionId, Timestamp};

pub use crate::codec::RECORD_LIMIT;

/// What a store keeps for one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session.
    pub id: SessionId,
    /// How often the record was saved; 0 means never. Stores count it.
    pub revision: u64,
    /// How long the session lives.
    pub lifetime: Lifetime,
    /// Who signed in.
    pub owner: Option<Owner>,
    /// The entries.
    pub data: Data,
    /// What the store says of the record's time; `None` if it was never stored. A store writes
    /// it and never reads it.
    pub stamp: Option<Stamp>,
}

impl Record {
    /// A record that was never stored, of nobody and with no entries.
    #[must_use]
    pub fn new(id: SessionId, lifetime: Lifetime) -> Self {
        Self {
            id,
            revision: 0,
            lifetime,
            owner: None,
            data: Data::default(),
            stamp: None,
        }
    }

    /// The record as it is in the store after a save that answered `Stored(stamp)`.
    #[must_use]
    pub fn stored(self, stamp: Stamp) -> Self {
        Self {
            revision: self.revision + 1,
            stamp: Some(stamp),
            ..self
        }
    }
}

/// What a store says of a record that it has loaded or stored, by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the session began.
    pub created_at: OffsetDateTime,
    /// When it ends if it is not used again.
    pub expires_at: OffsetDateTime,
    /// From the moment of the answer to `expires_at`.
    pub remaining: Duration,
}

impl Stamp {
    /// What the store's clock showed when it said this, without what it showed below a
    /// millisecond.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let remaining = time::Duration::try_from(self.remaining).unwrap_or(time::Duration::MAX);
        self.expires_at.saturating_sub(remaining).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_with_a_part_of_a_millisecond_left_has_not_expired() {
        let expires_at = Timestamp::from_millis(75);
        let stamp = Stamp {
            created_at: Timestamp::from_millis(25).into(),
            expires_at: expires_at.into(),
            remaining: Duration::from_micros(544),
        };
        assert_eq!(stamp.now(), Timestamp::from_millis(74));
    }
}
