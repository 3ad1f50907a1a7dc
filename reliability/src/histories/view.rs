use std::fmt;

use cloakroom_store_api::{Record, Saved, SessionId};

use super::Noted;
use crate::{Answer, Call};

/// What is stored of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    revision: u64,
    owner: Option<String>,
    note: String,
}

/// A call as far as it concerns one session.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) what: What,
    pub(crate) began: u64,
    pub(crate) ended: u64,
}

/// What a call does to one session, or says of it.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Is(Option<Version>),
    IsNotOf(String),
    /// Its revision is this, or is not.
    IsAt(u64, bool),
    /// It is live, and its revision is not this.
    IsLiveNotAt(u64),
    Begins(Version),
    Replaces(Version),
    Leaves(u64),
    LeavesOrIsNone(u64),
    /// It ends, and was live or not.
    Ends(bool),
    EndsIfOf(String),
    /// This may have been done; nobody knows.
    Perhaps(Box<What>),
}

/// Everything that concerns one session.
///
/// In a cluster a rotation takes several steps. Who ends the sessions of the owner that it names
/// can end the session between them, and then the rotation is answered `Gone`.
pub(crate) fn of(history: &[Noted], id: SessionId, in_cluster: bool) -> Vec<Seen> {
    let mut seen: Vec<_> = history
        .iter()
        .filter_map(|noted| {
            Some(Seen {
                what: what(noted, id, in_cluster)?,
                began: noted.began,
                ended: noted.ended,
            })
        })
        .collect();
    seen.sort_by_key(|seen| seen.began);
    seen
}

fn what(noted: &Noted, id: SessionId, in_cluster: bool) -> Option<What> {
    let Some(answer) = &noted.answer else {
        return Some(What::Perhaps(Box::new(done(&noted.call, id)?)));
    };
    Some(match (&noted.call, answer) {
        (Call::Load(of), Answer::Loaded(found)) if *of == id => {
            What::Is(found.as_ref().map(Version::of))
        }
        (Call::Touch(of, revision), Answer::Touched(stamp)) if *of == id => {
            What::IsAt(*revision, stamp.is_some())
        }
        (Call::Expire(of), Answer::Ended(was_live)) if *of == id => What::Ends(*was_live),
        (Call::List(owner), Answer::Listed(found)) => {
            match found.iter().find(|record| record.id == id) {
                Some(record) => What::Is(Some(Version::of(record))),
                None => What::IsNotOf(owner.clone()),
            }
        }
        (Call::ExpireOwner(..), Answer::EndedAll(_)) => done(&noted.call, id)?,
        (Call::Save(record), Answer::Saved(saved)) if record.id == id => match saved {
            Saved::Stored(_) => done(&noted.call, id)?,
            Saved::Conflict => What::IsLiveNotAt(record.revision),
            Saved::Gone => What::Is(None),
        },
        (Call::Rotate(old, record, _), Answer::Saved(saved)) => match saved {
            Saved::Stored(_) => done(&noted.call, id)?,
            Saved::Gone if *old == id && record.revision > 0 => {
                if in_cluster && record.owner.is_some() {
                    What::LeavesOrIsNone(record.revision)
                } else {
                    What::Is(None)
                }
            }
            // Why depends on both ids.
            Saved::Gone | Saved::Conflict => return None,
        },
        _ => return None,
    })
}

/// What a call does to a session if it does anything.
fn done(call: &Call, id: SessionId) -> Option<What> {
    Some(match call {
        Call::Save(record) if record.id != id => return None,
        Call::Save(record) if record.revision == 0 => What::Begins(Version::next(record)),
        Call::Save(record) => What::Replaces(Version::next(record)),
        Call::Rotate(old, record, _) if *old == id => What::Leaves(record.revision),
        Call::Rotate(_, record, _) if record.id == id => What::Begins(Version::next(record)),
        Call::Expire(of) if *of == id => What::Ends(true),
        Call::ExpireOwner(owner, except) if *except != Some(id) => What::EndsIfOf(owner.clone()),
        _ => return None,
    })
}

impl What {
    /// What is stored after it, if it can come when this is stored.
    pub(crate) fn after(&self, stored: &Option<Version>) -> Option<Option<Version>> {
        let revision = stored.as_ref().map(|version| version.revision);
        let is_of = |owner: &String| {
            let version = stored.as_ref();
            version.is_some_and(|version| version.owner.as_ref() == Some(owner))
        };
        let unchanged = || stored.clone();
        match self {
            Self::Is(seen) => (seen == stored).then(unchanged),
            Self::IsNotOf(owner) => (!is_of(owner)).then(unchanged),
            Self::IsAt(at, is_at) => ((revision == Some(*at)) == *is_at).then(unchanged),
            Self::IsLiveNotAt(at) => revision.is_some_and(|held| held != *at).then(unchanged),
            Self::Begins(version) => stored.is_none().then(|| Some(version.clone())),
            Self::Replaces(version) => {
                (revision == Some(version.revision - 1)).then(|| Some(version.clone()))
            }
            Self::Leaves(at) => (revision == Some(*at)).then_some(None),
            Self::LeavesOrIsNone(at) => revision.is_none_or(|held| held == *at).then_some(None),
            Self::Ends(was_live) => (stored.is_some() == *was_live).then_some(None),
            Self::EndsIfOf(owner) => Some(stored.clone().filter(|_| !is_of(owner))),
            Self::Perhaps(what) => what.after(stored),
        }
    }
}

impl Version {
    fn of(record: &Record) -> Self {
        Self {
            revision: record.revision,
            owner: record.owner.as_deref().map(Into::into),
            note: record.data.get("note").unwrap_or_default().into(),
        }
    }

    fn next(record: &Record) -> Self {
        Self {
            revision: record.revision + 1,
            ..Self::of(record)
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            u64::MAX => write!(f, "{}..: {:?}", self.began, self.what),
            ended => write!(f, "{}..{ended}: {:?}", self.began, self.what),
        }
    }
}
