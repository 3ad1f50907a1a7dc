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
    /// What the store's clock showed when it said this.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from(self.expires_at) - self.remaining
    }
}
