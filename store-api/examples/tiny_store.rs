//! A complete session store, to show how one is written. `tests/kit.rs` runs the kit on it.
//!
//! It conforms, but for its cost: a listing and a sweep look at every session (O4, W4).

use std::{
    cmp::Reverse,
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard},
};

use cloakroom_store_api::{
    Age, Clock, Held, Lifetime, Owner, Record, Result, Saved, SessionId, SessionStore,
    SessionToken, Stamp, Stats, StoreClock, Swept, SystemClock, Timestamp, Verdict, async_trait,
};

/// Sessions in a map behind one lock. Calls are atomic because none awaits.
#[derive(Debug)]
pub struct TinyStore {
    clock: StoreClock,
    sessions: Mutex<Sessions>,
}

/// What is judged by, whose it is, and the encoded record.
type Entry = (Held, Option<Owner>, Vec<u8>);
type Sessions = HashMap<SessionId, Entry>;

impl TinyStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (clock, sessions) = (StoreClock::new(clock), Mutex::default());
        Self { clock, sessions }
    }

    /// The sessions, and the time by which this call judges them.
    fn lock(&self) -> (MutexGuard<'_, Sessions>, Timestamp) {
        let sessions = self.sessions.lock().expect("no call panics");
        (sessions, self.clock.now())
    }

    /// Makes a record unreadable, for the conformance kit.
    pub fn spoil(&self, id: SessionId) {
        self.lock()
            .0
            .entry(id)
            .and_modify(|(_, _, bytes)| bytes.truncate(1));
    }
}

#[async_trait]
impl SessionStore for TinyStore {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        let (sessions, now) = self.lock();
        let live = sessions.get(&id).filter(|(held, ..)| held.is_live(now));
        live.map(|entry| read(id, entry, now)).transpose()
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        let bytes = record.encode()?;
        let (mut sessions, now) = self.lock();
        let found = sessions.get(&record.id).map(|(held, ..)| held);
        let verdict = Held::save(found, record, now);
        Ok(apply(&mut sessions, record.id, record, bytes, verdict, now))
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        let (mut sessions, now) = self.lock();
        let entry = sessions.get_mut(&id);
        Ok(entry.and_then(|(held, ..)| {
            *held = held.touch(revision, now)?;
            Some(held.stamp(now))
        }))
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        let bytes = record.encode()?;
        let (mut sessions, now) = self.lock();
        let [from, to] = [old, record.id].map(|id| sessions.get(&id).map(|(held, ..)| held));
        let verdict = Held::rotate(from, to, record, age, now);
        Ok(apply(&mut sessions, old, record, bytes, verdict, now))
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        let (mut sessions, now) = self.lock();
        let removed = sessions.remove(&id);
        Ok(removed.is_some_and(|(held, ..)| held.is_live(now)))
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        let (sessions, now) = self.lock();
        let live = sessions.iter().filter(|(_, (held, ..))| held.is_live(now));
        let owned = live.filter(|(_, (_, whose, _))| whose.as_deref() == Some(owner));
        let readable = owned.filter_map(|(id, entry)| read(*id, entry, now).ok());
        let mut records: Vec<_> = readable.collect();
        records.sort_by_key(|record| Reverse(record.stamp.map(|stamp| stamp.created_at)));
        Ok(records)
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        let (mut sessions, now) = self.lock();
        let ended = sessions
            .extract_if(|id, (_, whose, _)| whose.as_deref() == Some(owner) && Some(*id) != except);
        Ok(ended.filter(|(_, (held, ..))| held.is_live(now)).count() as u64)
    }

    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept> {
        let (mut sessions, now) = self.lock();
        let limit = limit.get() as usize;
        let dead = sessions.extract_if(|_, (held, ..)| !held.is_live(now));
        let removed = dead.take(limit).count();
        Ok(Swept {
            removed: removed as u64,
            more: removed == limit,
        })
    }

    async fn stats(&self) -> Result<Stats> {
        let (sessions, now) = self.lock();
        let mut stats = Stats::default();
        sessions
            .values()
            .for_each(|(held, ..)| stats.count(held, now));
        Ok(stats)
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

fn read(id: SessionId, (held, _, bytes): &Entry, now: Timestamp) -> Result<Record> {
    Record::decode(id, held.revision, held.stamp(now), &**bytes)
}

/// Does what was decided about the record that `id` has.
fn apply(
    sessions: &mut Sessions,
    id: SessionId,
    record: &Record,
    bytes: Vec<u8>,
    verdict: Verdict,
    now: Timestamp,
) -> Saved {
    if let Verdict::Store(_) | Verdict::End = verdict {
        sessions.remove(&id);
    }
    if let Verdict::Store(held) = verdict {
        sessions.insert(record.id, (held, record.owner.clone(), bytes));
    }
    verdict.answer(now)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store = TinyStore::new(Arc::new(SystemClock::new()));
    let record = Record::new(SessionToken::generate()?.id(), Lifetime::BROWSER);
    println!("saved: {:?}", store.save(&record).await?);
    println!("loaded: {:?}", store.load(record.id).await?);
    Ok(())
}
