use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use cloakroom_store_api::{Age, Data, Lifetime, Owner, Record, Saved, SessionId};
use fastrand::Rng;

use super::Habits;
use crate::{Answer, Call};

/// Whom sessions belong to.
const OWNERS: [&str; 2] = ["ann", "bob"];

/// The ids that all callers share, a slot each.
#[derive(Debug)]
pub(crate) struct Slots(Mutex<Vec<SessionId>>);

impl Slots {
    pub(crate) fn new(count: usize, rng: &mut Rng) -> Self {
        Self(Mutex::new((0..count).map(|_| new_id(rng)).collect()))
    }

    fn each<T>(&self, act: impl FnOnce(&mut Vec<SessionId>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Thinks of calls, with what it has been told in mind, as a request of an application would.
#[derive(Debug)]
pub(crate) struct Caller {
    task: usize,
    habits: Habits,
    slots: Arc<Slots>,
    /// What was seen last of each id.
    known: HashMap<SessionId, Known>,
    written: u64,
    rng: Rng,
}

#[derive(Clone, Debug, Default)]
struct Known {
    revision: u64,
    owner: Option<Owner>,
    is_over: bool,
}

impl Caller {
    pub(crate) fn new(task: usize, habits: Habits, slots: Arc<Slots>, rng: Rng) -> Self {
        Self {
            task,
            habits,
            slots,
            known: HashMap::new(),
            written: 0,
            rng,
        }
    }

    pub(crate) fn next(&mut self) -> Call {
        let (slot, id) = self.slots.each(|ids| {
            let slot = self.rng.usize(..ids.len());
            (slot, ids[slot])
        });
        let known = self.known.get(&id).cloned().unwrap_or_default();
        let owner = OWNERS[self.rng.usize(..OWNERS.len())].to_owned();
        match self.rng.u32(..100) {
            0..28 => Call::Load(id),
            28..52 => {
                let owner = match self.habits {
                    Habits::Free => self.owner(),
                    Habits::Usual => known.owner,
                };
                Call::Save(self.record(id, known.revision.max(1), owner))
            }
            52..66 => self.create(slot, id, known.is_over),
            66..74 => Call::Touch(id, known.revision),
            74..86 => {
                let new = match self.habits {
                    Habits::Free => self.slots.each(|ids| ids[self.rng.usize(..ids.len())]),
                    Habits::Usual => new_id(&mut self.rng),
                };
                let (owner, age) = (self.owner(), [Age::Keep, Age::Restart][self.rng.usize(..2)]);
                Call::Rotate(id, self.record(new, known.revision, owner), age)
            }
            86..93 => Call::Expire(id),
            93..98 => Call::List(owner),
            _ => Call::ExpireOwner(owner, self.rng.bool().then_some(id)),
        }
    }

    fn create(&mut self, slot: usize, id: SessionId, is_over: bool) -> Call {
        let id = match self.habits {
            Habits::Free => id,
            Habits::Usual if !is_over => return Call::Load(id),
            Habits::Usual => {
                let new = new_id(&mut self.rng);
                self.slots.each(|ids| ids[slot] = new);
                new
            }
        };
        let owner = self.owner();
        Call::Save(self.record(id, 0, owner))
    }

    /// How often others may go first before the next call is given up; mostly for ever.
    pub(crate) fn patience(&mut self) -> Option<u32> {
        (self.rng.u32(..64) == 0).then(|| self.rng.u32(..20))
    }

    pub(crate) fn learn(&mut self, call: &Call, answer: &Answer) {
        match (call, answer) {
            (Call::Load(id), Answer::Loaded(None))
            | (Call::Expire(id), _)
            | (Call::Save(Record { id, .. }), Answer::Saved(Saved::Gone)) => {
                self.known.entry(*id).or_default().is_over = true;
            }
            (_, Answer::Loaded(Some(found))) => self.know(found, found.revision),
            (_, Answer::Listed(found)) => {
                for record in found {
                    self.know(record, record.revision);
                }
            }
            (Call::Save(record), Answer::Saved(Saved::Stored(_))) => {
                self.know(record, record.revision + 1);
            }
            (Call::Rotate(old, record, _), Answer::Saved(Saved::Stored(_))) => {
                self.know(record, record.revision + 1);
                if self.habits == Habits::Usual {
                    self.slots.each(|ids| {
                        let moved = ids.iter_mut().filter(|id| *id == old);
                        moved.for_each(|id| *id = record.id);
                    });
                }
            }
            _ => {}
        }
    }

    fn know(&mut self, record: &Record, revision: u64) {
        let known = Known {
            revision,
            owner: record.owner.clone(),
            is_over: false,
        };
        self.known.insert(record.id, known);
    }

    fn owner(&mut self) -> Option<Owner> {
        let owner = OWNERS.get(self.rng.usize(..3));
        owner.map(|owner| owner.parse().expect("an owner"))
    }

    /// A record that no other write is like.
    fn record(&mut self, id: SessionId, revision: u64, owner: Option<Owner>) -> Record {
        self.written += 1;
        let note = format!("\"{}.{}\"", self.task, self.written);
        Record {
            revision,
            owner,
            data: Data::new(&BTreeMap::from([("note", &*note)])).expect("it is short"),
            ..Record::new(id, Lifetime::BROWSER)
        }
    }
}

fn new_id(rng: &mut Rng) -> SessionId {
    SessionId::from_bytes(rng.u128(..).to_be_bytes())
}
