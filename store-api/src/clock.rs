use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{
            AtomicI64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::timestamp::{Timestamp, millis};

/// Where a store that judges liveness in its own process takes the time from.
///
/// [`SystemClock`] is what such stores use; [`ManualClock`] is for tests.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time of day. It may jump, either way.
    fn wall(&self) -> Timestamp;

    /// The time since some fixed point. It never goes back, and does not care who sets the
    /// time of day.
    fn monotonic(&self) -> Duration;

    /// Whether the time of day may jump while no time passes, as where a test sets it. If not,
    /// a store reads it once in a millisecond. `true` by default.
    fn jumps_in_no_time(&self) -> bool {
        true
    }
}

/// The operating system's clock.
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// The operating system's clock, its monotonic time counted from here.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        })
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn jumps_in_no_time(&self) -> bool {
        false
    }
}

/// A clock that stands still until it is told otherwise.
///
/// Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use cloakroom_store_api::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let before = clock.wall();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.wall().since(before), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    wall: AtomicI64,
    monotonic: AtomicI64,
}

impl ManualClock {
    /// A clock that shows 2020-01-01 00:00 UTC.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Hands {
            wall: AtomicI64::new(1_577_836_800_000),
            monotonic: AtomicI64::new(0),
        }))
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let passed = millis(duration);
        self.0.wall.fetch_add(passed, Relaxed);
        self.0.monotonic.fetch_add(passed, Relaxed);
    }

    /// Sets the time of day, as an administrator or a time server would. No time passes.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.wall.store(wall.as_millis(), Relaxed);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.0.wall.load(Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.monotonic.load(Relaxed)).unwrap_or(0))
    }
}

/// The clock by which one store judges: never behind what it has shown before.
///
/// It shows the later of the wall clock and its own last answer plus the monotonic time since.
/// A wall clock set back revives nothing, and one set forward by mistake and corrected later
/// freezes nothing.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use cloakroom_store_api::{Clock, ManualClock, StoreClock, Timestamp};
///
/// let source = ManualClock::new();
/// let clock = StoreClock::new(Arc::new(source.clone()));
/// let before = clock.now();
/// source.set_wall(Timestamp::from_millis(0));
/// source.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), before + Duration::from_secs(1));
/// ```
#[derive(Debug)]
pub struct StoreClock {
    source: Arc<dyn Clock>,
    /// How far the wall clock was ahead of the monotonic one, at most: in milliseconds.
    ahead: AtomicI64,
    /// The millisecond of the monotonic clock in which the wall clock was last read.
    compared: AtomicI64,
}

impl StoreClock {
    /// A clock that has shown nothing yet.
    #[must_use]
    pub fn new(source: Arc<dyn Clock>) -> Self {
        Self {
            source,
            ahead: AtomicI64::new(i64::MIN),
            compared: AtomicI64::new(i64::MIN),
        }
    }

    /// Goes on from what the same store showed before it was restarted.
    #[must_use]
    pub fn resumed(source: Arc<dyn Clock>, last_answer: Timestamp) -> Self {
        let clock = Self::new(source);
        let ahead = last_answer.as_millis().saturating_sub(clock.passed());
        clock.ahead.store(ahead, Relaxed);
        clock
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let passed = self.passed();
        // `compared` is written after `ahead`: what is read here is from that look or a later one.
        if passed == self.compared.load(Acquire) && !self.source.jumps_in_no_time() {
            return Timestamp::from_millis(self.ahead.load(Relaxed).saturating_add(passed));
        }
        self.compare()
    }

    /// The time now, after a look at the wall clock.
    fn compare(&self) -> Timestamp {
        // In this order: a thread held up in between puts the clock behind for one answer, not
        // ahead for ever.
        let wall = self.source.wall().as_millis();
        let passed = self.passed();
        let ahead = wall.saturating_sub(passed);
        let most = self.ahead.load(Relaxed);
        // Written only when the wall clock gained on the monotonic one: loads stay uncontended.
        let most = if ahead > most {
            ahead.max(self.ahead.fetch_max(ahead, Relaxed))
        } else {
            most
        };
        self.compared.store(passed, Release);
        Timestamp::from_millis(most.saturating_add(passed))
    }

    /// What the monotonic clock shows, in milliseconds.
    fn passed(&self) -> i64 {
        millis(self.source.monotonic())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn a_clock_set_forward_and_corrected_goes_on_from_where_it_was() {
        let source = ManualClock::new();
        let clock = StoreClock::new(Arc::new(source.clone()));
        let right = source.wall();
        source.set_wall(right + Duration::from_hours(24));
        assert_eq!(clock.now(), right + Duration::from_hours(24));
        source.set_wall(right);
        assert_eq!(clock.now(), right + Duration::from_hours(24));
        source.advance(Duration::from_secs(5));
        let day_later = right + Duration::from_hours(24);
        assert_eq!(clock.now(), day_later + Duration::from_secs(5));
    }

    #[test]
    fn a_restart_does_not_turn_the_clock_back() {
        let source = ManualClock::new();
        let shown = source.wall() + Duration::from_secs(90);
        let clock = StoreClock::resumed(Arc::new(source.clone()), shown);
        assert_eq!(clock.now(), shown);
        source.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), shown + Duration::from_secs(1));
        source.advance(Duration::from_secs(100));
        source.set_wall(shown + Duration::from_secs(500));
        assert_eq!(clock.now(), shown + Duration::from_secs(500));
    }

    #[test]
    fn the_system_clock_agrees_with_itself() {
        let clock = StoreClock::new(Arc::new(SystemClock::new()));
        let before = Timestamp::from(OffsetDateTime::now_utc());
        let now = clock.now();
        assert!(before <= now && now <= before + Duration::from_secs(60));
    }

    /// As the system's clock is asked: how often the time of day was read.
    #[derive(Debug)]
    struct Counted(ManualClock, AtomicI64);

    impl Clock for Counted {
        fn wall(&self) -> Timestamp {
            self.1.fetch_add(1, Relaxed);
            self.0.wall()
        }

        fn monotonic(&self) -> Duration {
            self.0.monotonic()
        }

        fn jumps_in_no_time(&self) -> bool {
            false
        }
    }

    #[test]
    fn the_system_is_asked_for_the_time_of_day_once_in_a_millisecond() {
        let source = ManualClock::new();
        let counted = Arc::new(Counted(source.clone(), AtomicI64::new(0)));
        let clock = StoreClock::new(Arc::clone(&counted) as Arc<dyn Clock>);
        for _ in 0..10 {
            source.advance(Duration::from_millis(1));
            for _ in 0..10 {
                assert_eq!(clock.now(), source.wall());
            }
        }
        assert_eq!(counted.1.load(Relaxed), 10);
        // A jump is seen in the next one.
        source.set_wall(source.wall() + Duration::from_hours(1));
        source.advance(Duration::from_millis(1));
        assert_eq!(clock.now(), source.wall());
    }

    /// The thread is held up between the two readings, as by SIGSTOP or a moved machine.
    #[derive(Debug)]
    struct HeldUp(ManualClock, AtomicBool);

    impl HeldUp {
        fn hold_up(&self) {
            if self.1.swap(false, Relaxed) {
                self.0.advance(Duration::from_secs(30));
            }
        }
    }

    impl Clock for HeldUp {
        fn wall(&self) -> Timestamp {
            let shown = self.0.wall();
            self.hold_up();
            shown
        }

        fn monotonic(&self) -> Duration {
            let shown = self.0.monotonic();
            self.hold_up();
            shown
        }
    }

    #[test]
    fn a_thread_that_is_held_up_does_not_put_the_clock_ahead() {
        let source = ManualClock::new();
        let held_up = HeldUp(source.clone(), AtomicBool::new(true));
        let clock = StoreClock::new(Arc::new(held_up));
        let first = clock.now();
        assert!(first <= source.wall());
        source.advance(Duration::from_secs(100));
        assert_eq!(clock.now(), source.wall());
    }
}
