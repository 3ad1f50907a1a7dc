//! Sessions in memory, between the callers and the trees.
//!
//! # What orders what
//!
//! The writer's thread alone decides saves, rotations, ends and sweeps, one after another, and
//! alone writes to the trees. A touch is decided by its caller instead, and what is read of a
//! session must agree with both. That is what a session's shard and its lock are for:
//!
//! - A touch judges and moves a deadline under the lock, by a clock that is read under it. The
//!   writer reads the clock before it looks a session up under the lock. So of a touch and a
//!   call that finds the session dead, the earlier by the lock is the earlier by the clock, and
//!   neither can contradict the other. A touch that comes between the writer's judgement and
//!   what follows from it was before that call; it is of the replaced revision, and goes with it.
//! - What a batch has decided is [published](Cache::publish) before it is written to the trees,
//!   and is kept until [it is written](Cache::written). From then on everybody finds that.
//! - Who does not find a session here reads the trees, and is believed if the shard has had no
//!   news meanwhile: its count says so. So a session that was read before a save is not put here
//!   after it, and one that was ended is not handed out after its end was seen.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use cloakroom_store_api::{Data, Held, Owner, Record, SessionId, Stamp, Timestamp};

use crate::{ids::IdMap, recent::Recent};

/// A session as it is handed out.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) held: Held,
    pub(crate) owner: Option<Owner>,
    pub(crate) data: Data,
    /// Whether the deadlines tree has something of it.
    pub(crate) is_touched: bool,
}

impl Session {
    pub(crate) fn record(self, id: SessionId, now: Timestamp) -> Record {
        let stamp = Some(self.held.stamp(now));
        Record {
            id,
            revision: self.held.revision,
            lifetime: self.held.lifetime,
            owner: self.owner,
            data: self.data,
            stamp,
        }
    }
}

/// What a batch has made of each session that it changed; `None` if it has ended.
pub(crate) type Outcomes = IdMap<Option<Session>>;

/// What is known of a session without reading the trees.
#[derive(Debug)]
pub(crate) enum Known<T> {
    Stored(T),
    Ended,
    /// Nothing; the trees may know more.
    Unknown(News),
}

/// How much news a shard has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News(u64);

/// Where a touch has moved a deadline, and of which revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) revision: u64,
    pub(crate) expires_at: Timestamp,
}

/// Sessions in memory: those that are being written, those that were used last, and touches that
/// are not written yet.
#[derive(Debug)]
pub(crate) struct Cache {
    shards: Box<[Mutex<Shard>]>,
    /// How many touches are not written.
    touches: AtomicUsize,
}

#[derive(Debug)]
struct Shard {
    news: News,
    writing: Outcomes,
    recent: Recent,
    touched: IdMap<Touch>,
}

pub(crate) const SHARDS: usize = 64;

/// From so many touches on in one shard more of them have to ask the writer. In all shards together they
/// take about 4 MiB.
const TOUCHES: usize = 1024;

impl Cache {
    /// Keeps what was used last, up to so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let each = usize::try_from(bytes).unwrap_or(usize::MAX) / SHARDS;
        let shard = || Shard {
            news: News(0),
            writing: Outcomes::default(),
            recent: Recent::new(each),
            touched: IdMap::default(),
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            touches: AtomicUsize::new(0),
        }
    }

    /// Looks a session up.
    pub(crate) fn find<T>(&self, id: SessionId, read: impl FnOnce(&Session) -> T) -> Known<T> {
        let mut shard = self.shard(id);
        match shard.writing.get(&id) {
            Some(Some(session)) => return Known::Stored(read(session)),
            Some(None) => return Known::Ended,
            None => {}
        }
        match shard.recent.get(id) {
            Some(session) => Known::Stored(read(session)),
            None => Known::Unknown(shard.news),
        }
    }

    /// Whether what was read from the trees is what is stored: there was no news meanwhile.
    pub(crate) fn is_current(&self, id: SessionId, since: News) -> bool {
        self.shard(id).news == since
    }

    /// Keeps what was read from the trees, if that is [current](Self::is_current), and says
    /// whether it is.
    pub(crate) fn keep(&self, id: SessionId, since: News, mut session: Session) -> bool {
        let mut shard = self.shard(id);
        if shard.news != since {
            return false;
        }
        shard.overlay(id, &mut session.held);
        shard.recent.insert(id, session);
        true
    }

    /// Gives what was read from the trees its last deadline.
    pub(crate) fn overlay(&self, id: SessionId, held: &mut Held) {
        self.shard(id).overlay(id, held);
    }

    /// Moves a deadline, of a session that is known and that nobody is changing; else the writer
    /// has to be asked.
    pub(crate) fn touch(
        &self,
        id: SessionId,
        revision: u64,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Stamp> {
        let mut shard = self.shard(id);
        let has_room = shard.touched.len() < TOUCHES || shard.touched.contains_key(&id);
        if !has_room || shard.writing.contains_key(&id) {
            return None;
        }
        let held = &mut shard.recent.get(id)?.held;
        let now = now();
        let moved = held.touch(revision, now)?;
        if moved.expires_at > held.expires_at {
            *held = moved;
            self.note(&mut shard, id, &moved);
        }
        Some(moved.stamp(now))
    }

    /// Moves a deadline as the writer has decided.
    pub(crate) fn move_deadline(&self, id: SessionId, moved: &Held) {
        let mut shard = self.shard(id);
        if let Some(session) = shard.recent.get(id)
            && session.held.revision == moved.revision
        {
            session.held.expires_at = session.held.expires_at.max(moved.expires_at);
        }
        self.note(&mut shard, id, moved);
    }

    /// Shows everybody what is about to be written, all of it at once if it must be.
    pub(crate) fn publish(&self, outcomes: Outcomes, at_once: bool) {
        if !at_once {
            for (id, outcome) in outcomes {
                self.publish_one(&mut self.shard(id), id, outcome);
            }
            return;
        }
        // Nobody else locks two, and these are locked in order.
        let mut which: Vec<_> = outcomes.keys().map(|id| index(*id)).collect();
        which.sort_unstable();
        which.dedup();
        let mut locked: Vec<_> = which.iter().map(|index| self.lock(*index)).collect();
        for (id, outcome) in outcomes {
            if let Ok(place) = which.binary_search(&index(id)) {
                self.publish_one(&mut locked[place], id, outcome);
            }
        }
    }

    fn publish_one(&self, shard: &mut Shard, id: SessionId, outcome: Option<Session>) {
        shard.news.0 += 1;
        if shard.touched.remove(&id).is_some() {
            self.touches.fetch_sub(1, Relaxed);
        }
        shard.writing.insert(id, outcome);
    }

    /// Lets go of what was published, and is in the trees now.
    pub(crate) fn written(&self, ids: &[SessionId]) {
        for id in ids {
            let mut shard = self.shard(*id);
            shard.news.0 += 1;
            match shard.writing.remove(id).flatten() {
                Some(session) => shard.recent.insert(*id, session),
                None => shard.recent.remove(*id),
            }
        }
    }

    /// How many touches are not written.
    pub(crate) fn touches(&self) -> usize {
        self.touches.load(Relaxed)
    }

    /// The touches in one shard that are not written.
    pub(crate) fn unwritten(&self, shard: usize) -> Vec<(SessionId, Touch)> {
        let touched = &self.lock(shard).touched;
        touched.iter().map(|(id, touch)| (*id, *touch)).collect()
    }

    /// Lets go of touches that are in the deadlines tree now, but for those that have moved on.
    pub(crate) fn touches_written(&self, touches: &[(SessionId, Touch)]) {
        for (id, touch) in touches {
            let mut shard = self.shard(*id);
            shard.news.0 += 1;
            if shard.touched.get(id) == Some(touch) {
                shard.touched.remove(id);
                self.touches.fetch_sub(1, Relaxed);
            }
            if let Some(session) = shard.recent.get(*id) {
                session.is_touched = true;
            }
        }
    }

    /// Forgets a session whose row was changed behind the writer's back.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn forget(&self, id: SessionId) {
        let mut shard = self.shard(id);
        shard.news.0 += 1;
        shard.recent.remove(id);
    }

    fn note(&self, shard: &mut Shard, id: SessionId, moved: &Held) {
        let touch = Touch {
            revision: moved.revision,
            expires_at: moved.expires_at,
        };
        match shard.touched.get_mut(&id) {
            Some(noted) if noted.revision == touch.revision => {
                noted.expires_at = noted.expires_at.max(touch.expires_at);
            }
            Some(noted) => *noted = touch,
            None => {
                shard.touched.insert(id, touch);
                self.touches.fetch_add(1, Relaxed);
            }
        }
    }

    fn shard(&self, id: SessionId) -> MutexGuard<'_, Shard> {
        self.lock(index(id))
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[index];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shard of a session. Ids are digests: any bits of them will do.
fn index(id: SessionId) -> usize {
    usize::from(id.as_bytes()[0]) % SHARDS
}

impl Shard {
    fn overlay(&self, id: SessionId, held: &mut Held) {
        if let Some(touch) = self.touched.get(&id)
            && touch.revision == held.revision
        {
            held.expires_at = held.expires_at.max(touch.expires_at);
        }
    }
}
