use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use cloakroom_store_api::{
    Data, Lifetime, Owner, Persistence, Record, Saved, SessionId, SessionStore,
};
use time::OffsetDateTime;

use crate::{Entries, TowerSessionsStore, failure::Failure};

/// What one statement of a sweep may remove: short enough to hold nobody up.
const BATCH: NonZeroU32 = NonZeroU32::new(1000).expect("1000 is not 0");

/// What the calls of tower-sessions do, whatever its version.
impl<S: SessionStore> TowerSessionsStore<S> {
    /// Stores a new session, unless it would be over at once.
    pub(crate) async fn begin(
        &self,
        key: i128,
        entries: &Entries,
        expiry: OffsetDateTime,
    ) -> Result<(), Failure> {
        let (data, owner) = self.encode(entries)?;
        let record = Record {
            data,
            owner,
            ..Record::new(session_id(key), lifetime(expiry))
        };
        match self.store.save(&record).await? {
            Saved::Stored(_) => Ok(()),
            Saved::Gone => Ok(()), // Its expiry has passed.
            Saved::Conflict => Err(Failure::Backend("session id taken".to_owned())),
        }
    }

    /// Replaces a live session; never brings one back.
    pub(crate) async fn replace(
        &self,
        key: i128,
        entries: &Entries,
        expiry: OffsetDateTime,
    ) -> Result<(), Failure> {
        let id = session_id(key);
        let lifetime = lifetime(expiry);
        if lifetime.idle().is_zero() {
            return self.end(key).await;
        }
        let (data, owner) = self.encode(entries)?;
        let ended = || Failure::Backend("session has ended".to_owned());
        let found = self.store.load(id).await?.ok_or_else(ended)?;
        let record = Record {
            lifetime,
            owner,
            data,
            ..found
        };
        match self.store.save(&record).await? {
            Saved::Stored(_) => Ok(()),
            // Somebody replaced the whole record since it was loaded here: as if this call had
            // been done just before theirs.
            Saved::Conflict => Ok(()),
            Saved::Gone => Err(ended()),
        }
    }

    /// Reads a live session and when it ends.
    pub(crate) async fn find(
        &self,
        key: i128,
    ) -> Result<Option<(Entries, OffsetDateTime)>, Failure> {
        let Some(record) = self.store.load(session_id(key)).await? else {
            return Ok(None);
        };
        let entries = record
            .data
            .iter()
            .map(|(key, json)| Ok((key.to_owned(), serde_json::from_str(json)?)))
            .collect::<Result<_, serde_json::Error>>()
            .map_err(|error| Failure::Decode(error.to_string()))?;
        let remaining = record.stamp.map(|stamp| stamp.remaining);
        Ok(Some((entries, date(remaining.unwrap_or_default()))))
    }

    /// Ends a session, if it lives.
    pub(crate) async fn end(&self, key: i128) -> Result<(), Failure> {
        self.store.expire(session_id(key)).await?;
        Ok(())
    }

    /// Deletes all that is dead, batch by batch.
    pub(crate) async fn sweep(&self) -> Result<(), Failure> {
        while self.store.sweep(BATCH).await?.more {}
        Ok(())
    }

    fn encode(&self, entries: &Entries) -> Result<(Data, Option<Owner>), Failure> {
        let texts: BTreeMap<_, _> = entries
            .iter()
            .map(|(key, value)| (&**key, value.to_string()))
            .collect();
        let texts = texts.iter().map(|(key, json)| (*key, &**json)).collect();
        Ok((Data::new(&texts)?, (self.owner)(entries)))
    }
}

/// Changing the derivation signs everybody out. `cloakroom import` derives ids in the same way.
fn session_id(key: i128) -> SessionId {
    SessionId::of_secret("cloakroom tower-sessions id v1", &key.to_le_bytes())
}

/// An expiry date as a duration from now on.
///
/// The date was made by this process's clock, so by this clock it is taken apart: the store
/// adds the duration to its own, and the difference between the two clocks does not matter.
fn lifetime(expiry: OffsetDateTime) -> Lifetime {
    let remaining = Duration::try_from(expiry - OffsetDateTime::now_utc()).unwrap_or_default();
    Lifetime::new(Persistence::Persistent, remaining, Lifetime::LIMIT)
}

/// The inverse of [`lifetime`].
fn date(remaining: Duration) -> OffsetDateTime {
    let remaining = time::Duration::try_from(remaining).unwrap_or(time::Duration::MAX);
    OffsetDateTime::now_utc().saturating_add(remaining)
}
