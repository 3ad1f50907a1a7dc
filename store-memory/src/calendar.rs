use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering::Relaxed},
    },
};

use cloakroom_store_api::Timestamp;
use parking_lot::Mutex;

use crate::slot::Slot;

/// When to look for the dead.
///
/// Each slot is filed under the date on which its session will be dead if it is not used again. A
/// deadline that moves later leaves it there: when that date has come, the slot is looked at, and
/// filed anew if its session lives. So each session is looked at about once in its idle timeout,
/// and its saves and touches have nothing to file.
///
/// A slot is under one date at most, and knows where, so that it is taken out as soon as its session
/// ends. The lock is the last that is taken.
#[derive(Debug)]
pub(crate) struct Calendar {
    dates: Mutex<BTreeMap<i32, Vec<Arc<Slot>>>>,
    /// The first date that has slots, or `NEVER`. For a look without the lock.
    first: AtomicI32,
}

/// No date: of a slot that is not filed.
pub(crate) const NEVER: i32 = i32::MAX;

/// The dates are numbered in steps of 4 seconds (2^12 ms).
const STEP: u32 = 12;

/// Dates are at most 2^18 ms apart, so that the dead are looked at within five minutes.
const LARGEST_STEP: u32 = 18;

impl Calendar {
    pub(crate) fn new() -> Self {
        Self {
            dates: Mutex::default(),
            first: AtomicI32::new(NEVER),
        }
    }

    /// Files a slot by its session's deadline, wherever it was.
    pub(crate) fn file(&self, slot: &Arc<Slot>, deadline: Timestamp, now: Timestamp) {
        let mut dates = self.dates.lock();
        take_out(&mut dates, slot);
        let date = date(deadline, now);
        let slots = dates.entry(date).or_default();
        let position = u32::try_from(slots.len()).expect("memory for fewer sessions than 2^32");
        slot.date.store(date, Relaxed);
        slot.position.store(position, Relaxed);
        slots.push(Arc::clone(slot));
        self.note_first(&dates);
    }

    /// Files a slot whose deadline has moved, if it has moved to an earlier date.
    pub(crate) fn follow(&self, slot: &Arc<Slot>, deadline: Timestamp, now: Timestamp) {
        if date(deadline, now) < slot.date.load(Relaxed) {
            self.file(slot, deadline, now);
        }
    }

    pub(crate) fn remove(&self, slot: &Slot) {
        let mut dates = self.dates.lock();
        take_out(&mut dates, slot);
        self.note_first(&dates);
    }

    /// Whether there is anything to look at.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.first.load(Relaxed) <= today(now)
    }

    /// Takes out slots whose date has come, at most so many.
    pub(crate) fn due(&self, now: Timestamp, most: usize) -> Vec<Arc<Slot>> {
        let mut due = Vec::new();
        if !self.is_due(now) {
            return due;
        }
        let mut dates = self.dates.lock();
        while let Some(mut first) = dates.first_entry()
            && *first.key() <= today(now)
            && due.len() < most
        {
            let slots = first.get_mut();
            let left = slots.len().saturating_sub(most - due.len());
            due.extend(
                slots
                    .drain(left..)
                    .inspect(|slot| slot.date.store(NEVER, Relaxed)),
            );
            if slots.is_empty() {
                first.remove();
            }
        }
        self.note_first(&dates);
        due
    }

    fn note_first(&self, dates: &BTreeMap<i32, Vec<Arc<Slot>>>) {
        let first = dates.first_key_value().map_or(NEVER, |(date, _)| *date);
        self.first.store(first, Relaxed);
    }

    /// How many slots are filed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.dates.lock().values().map(Vec::len).sum()
    }
}

fn take_out(dates: &mut BTreeMap<i32, Vec<Arc<Slot>>>, slot: &Slot) {
    let date = slot.date.swap(NEVER, Relaxed);
    let Some(slots) = dates.get_mut(&date) else {
        return;
    };
    let position = slot.position.load(Relaxed);
    slots.swap_remove(position as usize);
    if let Some(moved) = slots.get(position as usize) {
        moved.position.store(position, Relaxed);
    }
    if slots.is_empty() {
        dates.remove(&date);
    }
}

/// The first date on which a session with this deadline is dead, of those that are as far apart as
/// 1/64 of the time until then.
fn date(deadline: Timestamp, now: Timestamp) -> i32 {
    let remaining = deadline.as_millis().saturating_sub(now.as_millis());
    let step = (remaining / 64).max(1).ilog2().clamp(STEP, LARGEST_STEP);
    let last_alive = deadline.as_millis().saturating_sub(1);
    number(((last_alive >> step) + 1) << (step - STEP))
}

/// The date that has come.
fn today(now: Timestamp) -> i32 {
    number(now.as_millis() >> STEP)
}

/// Dates far from ours are one.
fn number(date: i64) -> i32 {
    i32::try_from(date).unwrap_or(if date < 0 { i32::MIN } else { NEVER - 1 })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cloakroom_store_api::{Held, Lifetime, Record, SessionToken, Verdict};

    use super::*;
    use crate::slot::Kept;

    const NOW: Timestamp = Timestamp::from_millis(1_795_392_000_123);

    fn slot() -> Arc<Slot> {
        let record = Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER);
        let Verdict::Store(held) = Held::save(None, &record, NOW) else {
            panic!("a new session is stored");
        };
        Slot::new(record.id, Kept::new(&record, held, None))
    }

    #[test]
    fn a_date_comes_when_its_sessions_are_dead_and_soon_after() {
        let lives = [
            1,
            4_096,
            30_000,
            1_800_000,
            1_209_600_000,
            3_153_600_000_000,
        ];
        for lives in lives.map(Duration::from_millis) {
            for later in [0, 1, 4_095, 77_777].map(Duration::from_millis) {
                let (now, deadline) = (NOW + later, NOW + later + lives);
                let date = date(deadline, now);
                assert!(
                    date > today(deadline - Duration::from_millis(1)),
                    "{lives:?}"
                );
                let late = (lives / 64).clamp(Duration::from_secs(5), Duration::from_mins(5));
                assert!(date <= today(deadline + late), "{lives:?}");
            }
        }
    }

    #[test]
    fn clocks_far_from_ours_have_dates() {
        for far in [i64::MIN, -1, i64::MAX] {
            let calendar = Calendar::new();
            let far = Timestamp::from_millis(far);
            calendar.file(&slot(), far, NOW);
            calendar.file(&slot(), far, far);
            assert!(calendar.is_due(Timestamp::from_millis(i64::MAX)));
        }
    }

    #[test]
    fn each_slot_is_filed_once_and_found_again() {
        let calendar = Calendar::new();
        let slots: Vec<_> = (0..100).map(|_| slot()).collect();
        let at = |n: usize| NOW + Duration::from_mins(n as u64 % 7);
        for (n, slot) in slots.iter().enumerate() {
            calendar.file(slot, at(n), NOW);
        }
        for (n, slot) in slots.iter().enumerate().step_by(3) {
            calendar.file(slot, at(n + 1), NOW);
        }
        assert_eq!(calendar.len(), 100);
        for slot in slots.iter().step_by(2) {
            calendar.remove(slot);
            calendar.remove(slot);
        }
        assert_eq!(calendar.len(), 50);
        let mut due = calendar.due(at(6) + Duration::from_mins(1), usize::MAX);
        due.sort_by_key(|slot| slot.id);
        let mut left: Vec<_> = slots.iter().skip(1).step_by(2).collect();
        left.sort_by_key(|slot| slot.id);
        assert!(
            due.iter()
                .zip(left)
                .all(|(due, left)| Arc::ptr_eq(due, left))
        );
        assert_eq!((due.len(), calendar.len()), (50, 0));
        assert!(!calendar.is_due(Timestamp::from_millis(i64::MAX)));
    }

    #[test]
    fn only_an_earlier_deadline_is_followed() {
        let (calendar, slot) = (Calendar::new(), slot());
        let hours = |hours| NOW + Duration::from_hours(hours);
        calendar.file(&slot, hours(2), NOW);
        calendar.follow(&slot, hours(3), NOW);
        assert!(calendar.is_due(hours(2) + Duration::from_mins(5)));
        calendar.follow(&slot, hours(1), NOW);
        assert!(calendar.is_due(hours(1) + Duration::from_mins(5)));
        assert_eq!(calendar.len(), 1);
    }

    #[test]
    fn no_more_is_taken_out_than_asked_for() {
        let calendar = Calendar::new();
        for n in 0..10 {
            calendar.file(&slot(), NOW + Duration::from_mins(n % 2), NOW);
        }
        let later = NOW + Duration::from_hours(1);
        let taken: Vec<_> = (0..4).map(|_| calendar.due(later, 4).len()).collect();
        assert_eq!(taken, [4, 4, 2, 0]);
        assert!(!calendar.is_due(later));
    }
}
