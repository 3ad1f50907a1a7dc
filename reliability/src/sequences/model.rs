use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cloakroom_store_api::{
    Age, Lifetime, Persistence, Record, Saved, SessionId, Stamp, Stats, Timestamp,
};

use super::moment::Moment;
use crate::{Answer, Call};

/// What a store has to remember, and what it may answer.
///
/// It knows nothing of how a store decides: it is told a call, the answer, and when that was, and
/// says whether the contract allows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    sessions: BTreeMap<SessionId, Kept>,
    /// Those whose records were damaged. They can be loaded, as an error, and ended.
    spoiled: BTreeSet<SessionId>,
    /// Ids that sessions were moved away from. A store may take them for taken (R2).
    left: BTreeSet<SessionId>,
}

/// A session, or what is left of it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    record: Record,
    created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Whether it was seen dead. Then it stays dead.
    is_dead: bool,
}

impl Model {
    pub(crate) fn kept(&self, id: SessionId) -> Option<&Kept> {
        self.sessions.get(&id)
    }

    pub(crate) fn is_spoiled(&self, id: SessionId) -> bool {
        self.spoiled.contains(&id)
    }

    pub(crate) fn spoil(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        self.spoiled.insert(id);
    }

    /// Whether the contract allows this answer; afterwards this is what the store is left with.
    pub(crate) fn allows(&mut self, call: &Call, answer: &Answer, at: &Moment) -> bool {
        match (call, answer) {
            (Call::Load(id), Answer::Loaded(None)) => self.is_seen_dead(*id, at),
            (Call::Load(id), Answer::Loaded(Some(found))) => {
                found.id == *id && self.shows(found, at)
            }
            (Call::Load(id), Answer::Unreadable) => self.is_spoiled(*id),
            (Call::Save(record), Answer::Saved(saved)) => self.save(record, *saved, at),
            (Call::Rotate(old, record, age), Answer::Saved(saved)) => {
                self.rotate(*old, record, *age, *saved, at)
            }
            (Call::Touch(id, revision), Answer::Touched(None)) => {
                !self.is_at(*id, *revision) || self.can_be_dead(*id, at)
            }
            (Call::Touch(id, revision), Answer::Touched(Some(stamp))) => {
                self.is_at(*id, *revision) && self.touch(*id, stamp, at)
            }
            (Call::Expire(id), Answer::Ended(was_live)) => self.expire(*id, *was_live, at),
            (Call::List(owner), Answer::Listed(found)) => self.list(owner, found, at),
            (Call::ExpireOwner(owner, except), Answer::EndedAll(ended)) => {
                self.expire_owner(owner, *except, *ended, at)
            }
            (Call::Sweep(limit), Answer::Swept(swept)) => {
                let removed = usize::try_from(swept.removed).unwrap_or(usize::MAX);
                let dead = self.count(|kept| kept.can_be_dead(at)) + self.spoiled.len();
                removed <= dead.min(limit.get() as usize)
            }
            (Call::Stats, Answer::Counted(stats)) => self.counts(stats, at),
            _ => false,
        }
    }

    fn save(&mut self, record: &Record, saved: Saved, at: &Moment) -> bool {
        let (id, lifetime) = (record.id, record.lifetime);
        let is_new = record.revision == 0;
        let can_be_live = self.can_be_live(id, at);
        let is_same = can_be_live && self.is_at(id, record.revision);
        let created_at = self.kept(id).map(|kept| kept.created_at);
        match saved {
            Saved::Stored(stamp) if is_new => {
                self.is_seen_dead(id, at) && self.begin(record, &stamp, None, at)
            }
            Saved::Stored(stamp) => is_same && self.begin(record, &stamp, created_at, at),
            Saved::Conflict => can_be_live && !self.is_at(id, record.revision),
            Saved::Gone if is_new => self.is_seen_dead(id, at) && at.ends(lifetime, None),
            Saved::Gone if is_same && at.ends(lifetime, created_at) => self.end(id),
            Saved::Gone => self.is_seen_dead(id, at),
        }
    }

    fn rotate(
        &mut self,
        old: SessionId,
        record: &Record,
        age: Age,
        saved: Saved,
        at: &Moment,
    ) -> bool {
        let new = record.id;
        let can_be_live = self.can_be_live(old, at);
        let is_same = can_be_live && self.is_at(old, record.revision);
        let created_at = self
            .kept(old)
            .map(|kept| kept.created_at)
            .filter(|_| age == Age::Keep);
        match saved {
            Saved::Stored(stamp) => {
                let moves = is_same && old != new && self.is_seen_dead(new, at);
                self.sessions.remove(&old);
                self.left.insert(old);
                moves && self.begin(record, &stamp, created_at, at)
            }
            Saved::Conflict => {
                let is_taken = self.sessions.contains_key(&new) || self.left.contains(&new);
                old == new || is_taken || can_be_live && !is_same
            }
            Saved::Gone if is_same && at.ends(record.lifetime, created_at) => self.end(old),
            Saved::Gone => record.revision == 0 || self.is_seen_dead(old, at),
        }
    }

    /// Keeps a record that was stored, if the stamp is right.
    fn begin(
        &mut self,
        record: &Record,
        stamp: &Stamp,
        created_at: Option<Timestamp>,
        at: &Moment,
    ) -> bool {
        let now = stamp.now();
        let began = created_at.unwrap_or(now);
        let kept = Kept {
            record: Record {
                revision: record.revision + 1,
                stamp: None,
                ..record.clone()
            },
            created_at: stamp.created_at.into(),
            expires_at: stamp.expires_at.into(),
            is_dead: false,
        };
        let is_right = at.can_be(now)
            && at.is_near(kept.created_at, began)
            && at.is_near(kept.expires_at, deadline(record.lifetime, began, now))
            && kept.expires_at > now;
        self.left.remove(&record.id);
        self.sessions.insert(record.id, kept);
        is_right
    }

    fn touch(&mut self, id: SessionId, stamp: &Stamp, at: &Moment) -> bool {
        let now = stamp.now();
        let Some(kept) = self.sessions.get_mut(&id) else {
            return false;
        };
        let moved = deadline(kept.record.lifetime, kept.created_at, now).max(kept.expires_at);
        let is_right = kept.can_be_live(at)
            && at.can_be(now)
            && kept.created_at == stamp.created_at.into()
            && at.is_near(stamp.expires_at.into(), moved);
        kept.expires_at = stamp.expires_at.into();
        is_right
    }

    fn expire(&mut self, id: SessionId, was_live: bool, at: &Moment) -> bool {
        let is_right = self.is_spoiled(id)
            || if was_live {
                self.can_be_live(id, at)
            } else {
                self.can_be_dead(id, at)
            };
        self.spoiled.remove(&id);
        self.sessions.remove(&id);
        is_right
    }

    fn list(&mut self, owner: &str, found: &[Record], at: &Moment) -> bool {
        let ids: BTreeSet<_> = found.iter().map(|record| record.id).collect();
        let is_theirs = |record: &Record| record.owner.as_deref() == Some(owner);
        let missing = self
            .sessions
            .values_mut()
            .filter(|kept| is_theirs(&kept.record) && !ids.contains(&kept.record.id));
        // Each of them is seen dead, not only the first that cannot be.
        let wrongly_missing = missing.filter_map(|kept| (!kept.is_seen_dead(at)).then_some(()));
        let wrongly_missing = wrongly_missing.count();
        let newest_first =
            found.is_sorted_by_key(|record| Reverse(record.stamp.map(|stamp| stamp.created_at)));
        wrongly_missing == 0
            && newest_first
            && ids.len() == found.len()
            && found
                .iter()
                .all(|record| is_theirs(record) && self.shows(record, at))
    }

    fn expire_owner(
        &mut self,
        owner: &str,
        except: Option<SessionId>,
        ended: u64,
        at: &Moment,
    ) -> bool {
        let is_meant = |kept: &Kept| {
            kept.record.owner.as_deref() == Some(owner) && Some(kept.record.id) != except
        };
        let least = self.count(|kept| is_meant(kept) && !kept.can_be_dead(at));
        let most = self.count(|kept| is_meant(kept) && kept.can_be_live(at)) + self.spoiled.len();
        let meant = self.sessions.values_mut().filter(|kept| is_meant(kept));
        meant.for_each(|kept| kept.is_dead = true);
        (least as u64..=most as u64).contains(&ended)
    }

    fn counts(&self, stats: &Stats, at: &Moment) -> bool {
        let is_counted = |persistence, counted: u64| {
            let is = |kept: &Kept| kept.record.lifetime.persistence() == persistence;
            let least = self.count(|kept| is(kept) && !kept.can_be_dead(at));
            let most = self.count(|kept| is(kept) && kept.can_be_live(at)) + self.spoiled.len();
            (least as u64..=most as u64).contains(&counted)
        };
        let dead = self.count(|kept| kept.can_be_dead(at)) + self.spoiled.len();
        let alive = self.sessions.values().filter(|kept| !kept.can_be_dead(at));
        let first = alive.map(|kept| kept.expires_at).min();
        is_counted(Persistence::Browser, stats.browser)
            && is_counted(Persistence::Persistent, stats.persistent)
            && stats.expired <= dead as u64
            && first.is_none_or(|first| {
                let oldest = stats.oldest_expiry.map(Timestamp::from);
                oldest.is_some_and(|oldest| oldest <= first)
            })
    }

    fn count(&self, is: impl Fn(&Kept) -> bool) -> usize {
        self.sessions.values().filter(|kept| is(kept)).count()
    }

    /// Whether this is what a load shows of a live session (L4).
    fn shows(&self, found: &Record, at: &Moment) -> bool {
        let (Some(kept), Some(stamp)) = (self.kept(found.id), found.stamp) else {
            return false;
        };
        let found = Record {
            stamp: None,
            ..found.clone()
        };
        kept.can_be_live(at)
            && found == kept.record
            && kept.created_at == stamp.created_at.into()
            && kept.expires_at == stamp.expires_at.into()
            && at.can_be(stamp.now())
    }

    fn is_at(&self, id: SessionId, revision: u64) -> bool {
        self.kept(id)
            .is_some_and(|kept| kept.record.revision == revision)
    }

    fn end(&mut self, id: SessionId) -> bool {
        let kept = self.sessions.get_mut(&id);
        kept.is_some_and(|kept| {
            kept.is_dead = true;
            true
        })
    }

    fn can_be_live(&self, id: SessionId, at: &Moment) -> bool {
        self.kept(id).is_some_and(|kept| kept.can_be_live(at))
    }

    fn can_be_dead(&self, id: SessionId, at: &Moment) -> bool {
        self.kept(id).is_none_or(|kept| kept.can_be_dead(at))
    }

    fn is_seen_dead(&mut self, id: SessionId, at: &Moment) -> bool {
        let kept = self.sessions.get_mut(&id);
        kept.is_none_or(|kept| kept.is_seen_dead(at))
    }
}

impl Kept {
    /// Whether it is live, and for longer than a test waits.
    pub(crate) fn surely_lives_on(&self, at: &Moment) -> bool {
        !self.is_dead && !at.can_be_from(self.expires_at - Duration::from_secs(1))
    }

    fn can_be_live(&self, at: &Moment) -> bool {
        !self.is_dead && at.can_be_before(self.expires_at)
    }

    fn can_be_dead(&self, at: &Moment) -> bool {
        self.is_dead || at.can_be_from(self.expires_at)
    }

    fn is_seen_dead(&mut self, at: &Moment) -> bool {
        let can_be_dead = self.can_be_dead(at);
        self.is_dead = true;
        can_be_dead
    }
}

/// When a session ends that is used now (S3).
fn deadline(lifetime: Lifetime, created_at: Timestamp, now: Timestamp) -> Timestamp {
    (now + lifetime.idle()).min(created_at + lifetime.absolute())
}
