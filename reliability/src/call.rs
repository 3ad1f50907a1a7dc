use std::num::NonZeroU32;

use cloakroom_store_api::{
    Age, Error, Record, Result, Saved, SessionId, SessionStore, Stamp, Stats, Swept,
};

/// One call on a store, as a value.
#[derive(Clone, Debug)]
pub enum Call {
    /// [`SessionStore::load`].
    Load(SessionId),
    /// [`SessionStore::save`].
    Save(Record),
    /// [`SessionStore::touch`].
    Touch(SessionId, u64),
    /// [`SessionStore::rotate`].
    Rotate(SessionId, Record, Age),
    /// [`SessionStore::expire`].
    Expire(SessionId),
    /// [`SessionStore::list`].
    List(String),
    /// [`SessionStore::expire_owner`].
    ExpireOwner(String, Option<SessionId>),
    /// [`SessionStore::sweep`].
    Sweep(NonZeroU32),
    /// [`SessionStore::stats`].
    Stats,
}

/// What a store answered to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a load.
    Loaded(Option<Record>),
    /// To a load: the record is there and cannot be read.
    Unreadable,
    /// To a save or a rotation.
    Saved(Saved),
    /// To a touch.
    Touched(Option<Stamp>),
    /// To an end.
    Ended(bool),
    /// To a listing.
    Listed(Vec<Record>),
    /// To the end of an owner's sessions.
    EndedAll(u64),
    /// To a sweep.
    Swept(Swept),
    /// To a count.
    Counted(Stats),
}

impl Call {
    /// Makes the call.
    ///
    /// # Errors
    ///
    /// Those of a failing store.
    pub async fn on(&self, store: &(impl SessionStore + ?Sized)) -> Result<Answer> {
        Ok(match self {
            Self::Load(id) => match store.load(*id).await {
                Err(Error::Corrupt { id: named, .. }) if named == *id => Answer::Unreadable,
                found => Answer::Loaded(found?),
            },
            Self::Save(record) => Answer::Saved(store.save(record).await?),
            Self::Touch(id, revision) => Answer::Touched(store.touch(*id, *revision).await?),
            Self::Rotate(old, record, age) => {
                Answer::Saved(store.rotate(*old, record, *age).await?)
            }
            Self::Expire(id) => Answer::Ended(store.expire(*id).await?),
            Self::List(owner) => Answer::Listed(store.list(owner).await?),
            Self::ExpireOwner(owner, except) => {
                Answer::EndedAll(store.expire_owner(owner, *except).await?)
            }
            Self::Sweep(limit) => Answer::Swept(store.sweep(*limit).await?),
            Self::Stats => Answer::Counted(store.stats().await?),
        })
    }
}
