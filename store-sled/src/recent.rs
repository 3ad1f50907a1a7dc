use cloakroom_store_api::SessionId;

use crate::{cache::Session, ids::IdMap};

/// The sessions that were used last, up to so many bytes.
///
/// Who makes room is chosen as by a clock's hand: it goes round, passes over those that were used
/// since it came by last, and takes out the first that was not.
#[derive(Debug)]
pub(crate) struct Recent {
    places: IdMap<usize>,
    slots: Vec<Slot>,
    hand: usize,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Slot {
    id: SessionId,
    session: Session,
    is_used: bool,
}

/// What a session takes beside its owner and its entries: its slot, its place, and what the
/// allocator and half-empty tables waste.
const OVERHEAD: usize = 256;

impl Recent {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            places: IdMap::default(),
            slots: Vec::new(),
            hand: 0,
            bytes: 0,
            limit,
        }
    }

    pub(crate) fn get(&mut self, id: SessionId) -> Option<&mut Session> {
        let slot = &mut self.slots[*self.places.get(&id)?];
        slot.is_used = true;
        Some(&mut slot.session)
    }

    /// Puts a session in, unless it would take most of the room.
    pub(crate) fn insert(&mut self, id: SessionId, session: Session) {
        let new = size(&session);
        if new > self.limit / 2 {
            return self.remove(id);
        }
        if let Some(place) = self.places.get(&id) {
            let slot = &mut self.slots[*place];
            slot.is_used = true;
            self.bytes -= size(&slot.session);
            slot.session = session;
        } else {
            self.make_room(new);
            self.places.insert(id, self.slots.len());
            self.slots.push(Slot {
                id,
                session,
                is_used: false,
            });
        }
        self.bytes += new;
        self.make_room(0);
    }

    pub(crate) fn remove(&mut self, id: SessionId) {
        if let Some(place) = self.places.get(&id) {
            self.take_out(*place);
        }
    }

    fn make_room(&mut self, bytes: usize) {
        while self.bytes + bytes > self.limit {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            if slot.is_used {
                slot.is_used = false;
                self.hand += 1;
            } else {
                // Whose place is taken by the newest: it is passed over, too.
                self.take_out(self.hand);
                self.hand += 1;
            }
        }
    }

    /// Its place is taken by the last.
    fn take_out(&mut self, place: usize) {
        let slot = self.slots.swap_remove(place);
        self.places.remove(&slot.id);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.id, place);
        }
        self.bytes -= size(&slot.session);
    }
}

fn size(session: &Session) -> usize {
    let owner = session.owner.as_ref().map_or(0, |owner| owner.len());
    OVERHEAD + owner + session.data.size()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use cloakroom_store_api::{Data, Held, Lifetime, Timestamp};

    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    /// A session that counts as at most so many bytes, and hardly fewer.
    fn of_size(bytes: usize) -> Session {
        let note = "1".repeat(bytes - OVERHEAD - 9);
        let session = Session {
            held: Held {
                revision: 1,
                lifetime: Lifetime::BROWSER,
                created_at: Timestamp::from_millis(0),
                expires_at: Timestamp::from_millis(0) + Duration::from_hours(1),
            },
            owner: None,
            data: Data::new(&BTreeMap::from([("note", &*note)])).unwrap(),
            is_touched: false,
        };
        assert!((bytes - 4..=bytes).contains(&size(&session)));
        session
    }

    fn kept(recent: &Recent) -> Vec<u8> {
        let mut kept: Vec<_> = recent.places.keys().map(|id| id.as_bytes()[0]).collect();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn what_was_used_stays_longer() {
        let mut recent = Recent::new(4_000);
        for n in 0..4 {
            recent.insert(id(n), of_size(1_000));
        }
        for n in [0, 2, 3] {
            assert!(recent.get(id(n)).is_some());
        }
        recent.insert(id(4), of_size(1_000));
        assert_eq!(kept(&recent), [0, 2, 3, 4]);
        for n in 5..200 {
            assert!(recent.get(id(0)).is_some());
            recent.insert(id(n), of_size(1_000));
        }
        assert!(recent.get(id(0)).is_some());
    }

    #[test]
    fn what_comes_takes_the_room_of_what_was_there_longest() {
        let mut recent = Recent::new(100_000);
        for n in 0..200 {
            recent.insert(id(n), of_size(1_000));
        }
        // Where the hand begins anew, one takes another's turn.
        let last = kept(&recent).into_iter().filter(|n| *n >= 200 - 100);
        assert!(last.count() >= 98, "{:?}", kept(&recent));
    }

    #[test]
    fn it_takes_no_more_than_it_may() {
        let mut recent = Recent::new(10_000);
        for n in 0..=255 {
            recent.insert(id(n), of_size(300 + usize::from(n) * 10));
            if n % 3 == 0 {
                recent.remove(id(n / 2));
            }
            let sum: usize = recent.slots.iter().map(|slot| size(&slot.session)).sum();
            assert_eq!(recent.bytes, sum);
            assert!(sum <= 10_000);
            assert_eq!(recent.places.len(), recent.slots.len());
            for (id, place) in &recent.places {
                assert_eq!(recent.slots[*place].id, *id);
            }
        }
        assert!(recent.slots.len() > 2);
    }

    #[test]
    fn a_session_that_is_put_in_again_is_there_once() {
        let mut recent = Recent::new(4_000);
        recent.insert(id(1), of_size(1_000));
        recent.insert(id(1), of_size(1_500));
        assert_eq!(kept(&recent), [1]);
        assert_eq!(recent.bytes, size(&recent.slots[0].session));
        // It is larger than what is kept, and the smaller one is not what it is any more.
        recent.insert(id(1), of_size(2_500));
        assert_eq!((kept(&recent), recent.bytes), (vec![], 0));
    }
}
