use std::{collections::BTreeMap, time::Instant};

use actix_session::storage::{SessionKey, generate_session_key};
use cloakroom_store_api::{
    Data, Error, Lifetime, Owner, Persistence, Record, Saved, SessionId, SessionStore,
};
use time::Duration;

use crate::{ActixSessionStore, Entries};

/// Why a call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("session has ended")]
    Ended,
    #[error("session key taken")]
    Taken,
    #[error("session is saved by too many requests at once")]
    Contended,
    #[error(transparent)]
    Store(#[from] Error),
}

/// How long an update goes on when others save the same session; as long as in Cloakroom's own
/// middleware.
const CONTENTION: std::time::Duration = std::time::Duration::from_secs(5);

impl<S: SessionStore> ActixSessionStore<S> {
    /// Reads a live session.
    pub(crate) async fn find(&self, key: &SessionKey) -> Result<Option<Entries>, Error> {
        let found = self.store.load(session_id(key)).await?;
        Ok(found.map(|record| {
            let entries = record.data.iter();
            entries
                .map(|(key, json)| (key.to_owned(), json.to_owned()))
                .collect()
        }))
    }

    /// Stores a new session under a new key, unless it would be over at once.
    pub(crate) async fn begin(
        &self,
        entries: &Entries,
        ttl: &Duration,
    ) -> Result<SessionKey, Failure> {
        let key = generate_session_key();
        let (data, owner) = self.encode(entries)?;
        let record = Record {
            data,
            owner,
            ..Record::new(session_id(&key), lifetime(ttl))
        };
        match self.store.save(&record).await? {
            Saved::Stored(_) => Ok(key),
            Saved::Gone => Ok(key), // No time to live.
            Saved::Conflict => Err(Failure::Taken),
        }
    }

    /// Replaces a live session; never brings one back.
    pub(crate) async fn replace(
        &self,
        key: SessionKey,
        entries: &Entries,
        ttl: &Duration,
    ) -> Result<SessionKey, Failure> {
        let id = session_id(&key);
        let lifetime = lifetime(ttl);
        if lifetime.idle().is_zero() {
            self.end(&key).await?;
            return Ok(key);
        }
        let (data, owner) = self.encode(entries)?;
        let mut beaten = None;
        loop {
            let found = match self.store.load(id).await {
                // The middleware went on with no entries and asks to keep what it has now. Of two
                // requests at once one ends the unreadable record and begins anew.
                Err(Error::Corrupt { .. }) if self.store.expire(id).await? => {
                    return self.begin(entries, ttl).await;
                }
                Err(Error::Corrupt { .. }) => return Err(Failure::Ended),
                found => found?.ok_or(Failure::Ended)?,
            };
            let record = Record {
                lifetime,
                owner: owner.clone(),
                data: data.clone(),
                ..found
            };
            match self.store.save(&record).await? {
                Saved::Stored(_) => return Ok(key),
                Saved::Gone => return Err(Failure::Ended),
                // Another call saved it since it was loaded here: an update, or an extension, which
                // keeps the entries that it has found. Where one is beaten another gets on, so
                // there is no pause.
                Saved::Conflict => {
                    if beaten.get_or_insert_with(Instant::now).elapsed() >= CONTENTION {
                        return Err(Failure::Contended);
                    }
                }
            }
        }
    }

    /// Lets a live session live this long from now.
    pub(crate) async fn extend(&self, key: &SessionKey, ttl: &Duration) -> Result<(), Failure> {
        let id = session_id(key);
        let lifetime = lifetime(ttl);
        if lifetime.idle().is_zero() {
            return Ok(self.end(key).await?);
        }
        let found = self.store.load(id).await?.ok_or(Failure::Ended)?;
        if found.lifetime == lifetime {
            // None: another request saved or ended the session since, as if just after this one.
            self.store.touch(id, found.revision).await?;
            return Ok(());
        }
        let record = Record { lifetime, ..found };
        match self.store.save(&record).await? {
            // Conflict: whoever saved it since said how long it lives, as if just after this one.
            Saved::Stored(_) | Saved::Conflict => Ok(()),
            Saved::Gone => Err(Failure::Ended),
        }
    }

    /// Ends a session, if it lives.
    pub(crate) async fn end(&self, key: &SessionKey) -> Result<(), Error> {
        self.store.expire(session_id(key)).await?;
        Ok(())
    }

    fn encode(&self, entries: &Entries) -> Result<(Data, Option<Owner>), Error> {
        let texts: BTreeMap<_, _> = entries
            .iter()
            .map(|(key, json)| (&**key, &**json))
            .collect();
        Ok((Data::new(&texts)?, (self.owner)(entries)))
    }
}

/// Changing the derivation signs everybody out.
fn session_id(key: &SessionKey) -> SessionId {
    SessionId::of_secret("cloakroom actix-session id v1", key.as_ref().as_bytes())
}

/// A time to live as a lifetime: actix-session has no absolute timeout.
fn lifetime(ttl: &Duration) -> Lifetime {
    let idle = std::time::Duration::try_from(*ttl).unwrap_or_default(); // A negative one is over.
    Lifetime::new(Persistence::Persistent, idle, Lifetime::LIMIT)
}
