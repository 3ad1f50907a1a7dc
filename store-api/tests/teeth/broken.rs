use std::{
    cmp::Reverse,
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use cloakroom_store_api::{
    Age, Clock, Error, Held, ManualClock, Record, Result, Saved, SessionId, SessionStore, Stamp,
    Stats, StoreClock, Swept, SystemClock, Timestamp, Verdict, async_trait, conformance::Subject,
};
use tokio::{task::yield_now, time::sleep};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it passes every check.
    None,
    /// A save stores whatever is there.
    UpsertOnSave,
    /// A save looks, lets others go, and then stores.
    CheckThenSet,
    /// A save of what has ended stores it anew.
    InsertWhenTheUpdateFindsNothing,
    /// A save begins the absolute timeout again.
    CreatedAtMoves,
    /// A save believes when the record says that it was created.
    CreatedWhenTheRecordSays,
    /// A save that stores nothing says that it did.
    StoredForARefusedSave,
    /// A touch moves the deadline of the dead.
    TouchRevives,
    /// A touch knows only the idle timeout.
    TouchPassesTheAbsoluteTimeout,
    /// A touch moves the deadline of any revision.
    TouchIgnoresTheRevision,
    /// A touch looks, lets others go, and then stores what it has seen with another deadline.
    TouchWritesBackWhatItRead,
    /// A load shows what has expired.
    LoadWithoutTheExpiryCheck,
    /// A session lives for its last millisecond twice.
    LessOrEqual,
    /// The clock is not the one of the store.
    CallersClock,
    /// Between two steps of a rotation there is no session.
    RotateAsDeleteThenCreate,
    /// Between two steps of a rotation there are two.
    RotateAsCreateThenDelete,
    /// A rotation does not change the owner.
    RotateKeepsTheOldOwner,
    /// What becomes an owner's while its sessions are ended stays.
    ExpireOwnerByAListReadBefore,
    /// What comes alive during a sweep is removed.
    SweepByAListReadBefore,
    /// What is touched in its last millisecond is removed.
    SweepWhatIsAboutToDie,
    /// Two sweeps count the same session.
    SweepCountsWhatOthersRemoved,
    /// One unreadable record spoils a whole listing.
    ErrorsForTheUnreadable,
    /// What cannot be read does not end with its owner's other sessions.
    ExpireOwnerSparesTheUnreadable,
}

/// A store in a map, with one flaw.
#[derive(Debug)]
pub struct BrokenStore {
    flaw: Flaw,
    clock: StoreClock,
    sessions: Mutex<HashMap<SessionId, Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    held: Held,
    record: Record,
    readable: bool,
}

impl BrokenStore {
    /// Makes a record unreadable.
    pub fn spoil(&self, id: SessionId) {
        self.sessions(|sessions| sessions.get_mut(&id).unwrap().readable = false);
    }

    fn sessions<T>(&self, change: impl FnOnce(&mut HashMap<SessionId, Entry>) -> T) -> T {
        change(&mut self.sessions.lock().unwrap())
    }

    fn held(&self, id: SessionId) -> Option<Held> {
        self.sessions(|sessions| sessions.get(&id).map(|entry| entry.held))
    }

    fn is_live(&self, held: &Held, now: Timestamp) -> bool {
        held.is_live(now) || self.flaw == Flaw::LessOrEqual && now == held.expires_at
    }

    fn insert(&self, record: &Record, held: Held) {
        let entry = Entry {
            held,
            record: record.clone(),
            readable: true,
        };
        self.sessions(|sessions| sessions.insert(record.id, entry));
    }

    fn read(&self, id: SessionId, entry: &Entry, now: Timestamp) -> Result<Record> {
        if !entry.readable {
            return Err(Error::corrupt(id, "spoiled"));
        }
        Ok(Record {
            revision: entry.held.revision,
            stamp: Some(entry.held.stamp(now)),
            ..entry.record.clone()
        })
    }
}

#[async_trait]
impl SessionStore for BrokenStore {
    async fn load(&self, id: SessionId) -> Result<Option<Record>> {
        let now = self.clock.now();
        self.sessions(|sessions| {
            let found = sessions.get(&id).filter(|entry| {
                self.is_live(&entry.held, now) || self.flaw == Flaw::LoadWithoutTheExpiryCheck
            });
            found.map(|entry| self.read(id, entry, now)).transpose()
        })
    }

    async fn save(&self, record: &Record) -> Result<Saved> {
        record.encode()?;
        if self.flaw == Flaw::CheckThenSet {
            let now = self.clock.now();
            let verdict = Held::save(self.held(record.id).as_ref(), record, now);
            yield_now().await;
            match verdict {
                Verdict::Store(held) => self.insert(record, held),
                Verdict::End => drop(self.sessions(|sessions| sessions.remove(&record.id))),
                Verdict::Conflict | Verdict::Gone => {}
            }
            return Ok(verdict.answer(now));
        }
        let now = self.clock.now();
        self.sessions(|sessions| {
            let found = sessions.get(&record.id).map(|entry| entry.held);
            let mut verdict = Held::save(found.as_ref(), record, now);
            let begun = || Held {
                revision: record.revision + 1,
                lifetime: record.lifetime,
                created_at: found.map_or(now, |held| held.created_at),
                expires_at: record.lifetime.expires_at(now, now),
            };
            match (self.flaw, verdict) {
                (Flaw::UpsertOnSave, _) => verdict = Verdict::Store(begun()),
                (Flaw::InsertWhenTheUpdateFindsNothing, Verdict::Gone) => {
                    verdict = Verdict::Store(begun());
                }
                (Flaw::CreatedAtMoves, Verdict::Store(held)) => {
                    verdict = Verdict::Store(Held {
                        created_at: now,
                        ..held
                    });
                }
                (Flaw::CreatedWhenTheRecordSays, Verdict::Store(held)) => {
                    let said = record.stamp.map(|stamp| stamp.created_at.into());
                    verdict = Verdict::Store(Held {
                        created_at: said.unwrap_or(held.created_at),
                        ..held
                    });
                }
                (Flaw::StoredForARefusedSave, Verdict::Conflict) => {
                    return Ok(Saved::Stored(begun().stamp(now)));
                }
                _ => {}
            }
            if let Verdict::Store(_) | Verdict::End = verdict {
                sessions.remove(&record.id);
            }
            if let Verdict::Store(held) = verdict {
                let entry = Entry {
                    held,
                    record: record.clone(),
                    readable: true,
                };
                sessions.insert(record.id, entry);
            }
            Ok(verdict.answer(now))
        })
    }

    async fn touch(&self, id: SessionId, revision: u64) -> Result<Option<Stamp>> {
        let now = self.clock.now();
        if self.flaw == Flaw::TouchWritesBackWhatItRead {
            let found = self.sessions(|sessions| sessions.get(&id).cloned());
            yield_now().await;
            return Ok(found.and_then(|entry| {
                let held = entry.held.touch(revision, now)?;
                self.insert(&entry.record, held);
                Some(held.stamp(now))
            }));
        }
        self.sessions(|sessions| {
            let Some(Entry { held, .. }) = sessions.get_mut(&id) else {
                return Ok(None);
            };
            let asked = match self.flaw {
                Flaw::TouchIgnoresTheRevision => held.revision,
                _ => revision,
            };
            let at = match self.flaw {
                Flaw::TouchRevives => Timestamp::from_millis(0),
                _ => now,
            };
            let Some(mut touched) = held.touch(asked, at) else {
                return Ok(None);
            };
            if self.flaw == Flaw::TouchPassesTheAbsoluteTimeout {
                touched.expires_at = now + held.lifetime.idle();
            }
            if self.flaw == Flaw::TouchRevives {
                touched.expires_at = held.lifetime.expires_at(held.created_at, now);
            }
            *held = touched;
            Ok(Some(touched.stamp(now)))
        })
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> Result<Saved> {
        record.encode()?;
        let now = self.clock.now();
        let verdict = self.sessions(|sessions| {
            let [from, to] = [old, record.id].map(|id| sessions.get(&id).map(|entry| entry.held));
            let verdict = Held::rotate(from.as_ref(), to.as_ref(), record, age, now);
            let whole = !matches!(
                self.flaw,
                Flaw::RotateAsDeleteThenCreate | Flaw::RotateAsCreateThenDelete
            );
            match verdict {
                Verdict::Store(held) if whole => {
                    let before = sessions.remove(&old);
                    let mut record = record.clone();
                    if let (Flaw::RotateKeepsTheOldOwner, Some(before)) = (self.flaw, before) {
                        record.owner = before.record.owner;
                    }
                    let entry = Entry {
                        held,
                        record,
                        readable: true,
                    };
                    sessions.insert(entry.record.id, entry);
                }
                Verdict::End => drop(sessions.remove(&old)),
                _ => {}
            }
            verdict
        });
        match (self.flaw, verdict) {
            (Flaw::RotateAsDeleteThenCreate, Verdict::Store(held)) => {
                self.sessions(|sessions| sessions.remove(&old));
                yield_now().await;
                self.insert(record, held);
            }
            (Flaw::RotateAsCreateThenDelete, Verdict::Store(held)) => {
                self.insert(record, held);
                yield_now().await;
                self.sessions(|sessions| sessions.remove(&old));
            }
            _ => {}
        }
        Ok(verdict.answer(now))
    }

    async fn expire(&self, id: SessionId) -> Result<bool> {
        let now = self.clock.now();
        self.sessions(|sessions| {
            let removed = sessions.remove(&id);
            Ok(removed.is_some_and(|entry| self.is_live(&entry.held, now)))
        })
    }

    async fn list(&self, owner: &str) -> Result<Vec<Record>> {
        let now = self.clock.now();
        self.sessions(|sessions| {
            let live = sessions
                .iter()
                .filter(|(_, entry)| self.is_live(&entry.held, now));
            let owned = live.filter(|(_, entry)| entry.record.owner.as_deref() == Some(owner));
            let read = owned.map(|(id, entry)| self.read(*id, entry, now));
            let mut records: Vec<_> = match self.flaw {
                Flaw::ErrorsForTheUnreadable => read.collect::<Result<_>>()?,
                _ => read.filter_map(Result::ok).collect(),
            };
            records.sort_by_key(|record| Reverse(record.stamp.map(|stamp| stamp.created_at)));
            Ok(records)
        })
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> Result<u64> {
        let now = self.clock.now();
        let is_theirs = |id: &SessionId, entry: &Entry| {
            let is_spared = self.flaw == Flaw::ExpireOwnerSparesTheUnreadable && !entry.readable;
            entry.record.owner.as_deref() == Some(owner) && Some(*id) != except && !is_spared
        };
        if self.flaw == Flaw::ExpireOwnerByAListReadBefore {
            let ids = self.list(owner).await?;
            yield_now().await;
            let ids = ids
                .iter()
                .map(|record| record.id)
                .filter(|id| Some(*id) != except);
            return Ok(self.sessions(|sessions| {
                ids.filter(|id| sessions.remove(id).is_some()).count() as u64
            }));
        }
        self.sessions(|sessions| {
            let ended = sessions.extract_if(|id, entry| is_theirs(id, entry));
            Ok(ended
                .filter(|(_, entry)| self.is_live(&entry.held, now))
                .count() as u64)
        })
    }

    async fn sweep(&self, limit: NonZeroU32) -> Result<Swept> {
        let now = self.clock.now();
        let limit = limit.get() as usize;
        let dead: Vec<_> = self.sessions(|sessions| {
            let at = match self.flaw {
                Flaw::SweepWhatIsAboutToDie => now + Duration::from_millis(1),
                _ => now,
            };
            let dead = sessions
                .iter()
                .filter(|(_, entry)| !self.is_live(&entry.held, at));
            dead.map(|(id, _)| *id).take(limit).collect()
        });
        if let Flaw::SweepByAListReadBefore | Flaw::SweepCountsWhatOthersRemoved = self.flaw {
            yield_now().await;
        }
        if self.flaw == Flaw::SweepWhatIsAboutToDie {
            sleep(Duration::from_millis(1)).await;
        }
        let removed = dead.iter().filter(|id| {
            self.sessions(|sessions| {
                let still = sessions.get(*id).is_some_and(|entry| {
                    matches!(
                        self.flaw,
                        Flaw::SweepByAListReadBefore | Flaw::SweepWhatIsAboutToDie
                    ) || !self.is_live(&entry.held, self.clock.now())
                });
                if still {
                    sessions.remove(*id);
                }
                still || self.flaw == Flaw::SweepCountsWhatOthersRemoved
            })
        });
        Ok(Swept {
            removed: removed.count() as u64,
            more: dead.len() == limit,
        })
    }

    async fn stats(&self) -> Result<Stats> {
        let now = self.clock.now();
        let mut stats = Stats::default();
        self.sessions(|sessions| {
            sessions
                .values()
                .for_each(|entry| stats.count(&entry.held, now));
        });
        Ok(stats)
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

/// Makes stores with one flaw.
#[derive(Debug)]
pub struct Broken {
    flaw: Flaw,
    clock: ManualClock,
}

impl Broken {
    /// Stores on this clock.
    pub fn new(flaw: Flaw, clock: ManualClock) -> Self {
        Self { flaw, clock }
    }
}

impl Subject for Broken {
    type Store = Arc<BrokenStore>;

    async fn store(&self) -> Self::Store {
        let clock: Arc<dyn Clock> = match self.flaw {
            Flaw::CallersClock => Arc::new(SystemClock::new()),
            _ => Arc::new(self.clock.clone()),
        };
        Arc::new(BrokenStore {
            flaw: self.flaw,
            clock: StoreClock::new(clock),
            sessions: Mutex::default(),
        })
    }

    async fn node(&self, store: &Self::Store) -> Self::Store {
        Arc::clone(store)
    }

    async fn spoil(&self, store: &Self::Store, id: SessionId) {
        store.spoil(id);
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}
