use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

use cloakroom_store_api::Timestamp;
use parking_lot::Mutex;

/// What the server's clock shows, as far as this process can tell without asking.
///
/// It dates new records, and saves if the server agrees, and it says how much of a record remains. It
/// judges nothing: Redis does that. Its error is at most half of how long the server took to say the
/// time, what the clocks have drifted since, and by what somebody has set the server's.
#[derive(Debug)]
pub(crate) struct ServerClock {
    start: Instant,
    known: Mutex<Option<Known>>,
    measuring: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    measured: Measured,
    /// When the server was last asked, and what this machine's time of day was.
    checked: Instant,
    wall: SystemTime,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    /// What the server's clock showed at `start`, in milliseconds.
    origin: i64,
    /// By how much that may be wrong.
    error: Duration,
    at: Instant,
}

/// How long a measurement is trusted. At 100 ppm, as bad as clocks get, they drift 3 ms apart.
const TRUST: Duration = Duration::from_secs(30);

impl ServerClock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            known: Mutex::new(None),
            measuring: AtomicBool::new(false),
        }
    }

    /// What the server's clock shows, unless it is time to ask the server: nobody ever did, or
    /// not for long, and nobody else does just now.
    pub(crate) fn now(&self) -> Reading<'_> {
        let (known, at) = self.read();
        if let Some(known) = known
            && (at.duration_since(known.checked) < TRUST || self.measuring.swap(true, Relaxed))
        {
            return Reading::Known(self.shown(&known, at));
        }
        Reading::Due(Measurement {
            clock: self,
            began: at,
        })
    }

    /// The same for whom it may be wrong: however long ago the server was asked.
    pub(crate) fn estimate(&self) -> Option<Timestamp> {
        let (known, at) = self.read();
        known.map(|known| self.shown(&known, at))
    }

    /// What is known, unless the machine has slept since; and the time.
    fn read(&self) -> (Option<Known>, Instant) {
        let known = *self.known.lock();
        let (at, wall) = (Instant::now(), SystemTime::now());
        (known.filter(|known| !known.has_leapt(at, wall)), at)
    }

    fn shown(&self, known: &Known, at: Instant) -> Timestamp {
        Timestamp::from_millis(known.measured.origin) + at.duration_since(self.start)
    }

    fn record(&self, measured: Measured) {
        let mut known = self.known.lock();
        let before = known.map(|known| known.measured).filter(|before| {
            let apart = Duration::from_millis(before.origin.abs_diff(measured.origin));
            before.error < measured.error
                && measured.at.duration_since(before.at) < 4 * TRUST
                && apart <= before.error + measured.error + DRIFT
        });
        *known = Some(Known {
            checked: measured.at,
            wall: SystemTime::now(),
            // The old one was better, and still agrees.
            measured: before.unwrap_or(measured),
        });
    }
}

impl Known {
    /// Whether the time of day has moved on by more or less than the monotonic clock: that one stands
    /// still while a machine sleeps.
    fn has_leapt(&self, at: Instant, wall: SystemTime) -> bool {
        let passed = at.duration_since(self.checked);
        match wall.duration_since(self.wall) {
            Ok(by_day) => by_day.abs_diff(passed) > LEAP,
            Err(back) => back.duration() + passed > LEAP,
        }
    }
}

/// More than clocks are brought into step by while a measurement is trusted.
const LEAP: Duration = Duration::from_millis(50);

/// What clocks may drift apart while a measurement is trusted.
const DRIFT: Duration = Duration::from_millis(5);

/// What a look at the clock gives.
#[derive(Debug)]
pub(crate) enum Reading<'a> {
    Known(Timestamp),
    Due(Measurement<'a>),
}

/// The server is being asked for the time. When this is dropped the next one may.
#[derive(Debug)]
pub(crate) struct Measurement<'a> {
    clock: &'a ServerClock,
    began: Instant,
}

impl Measurement<'_> {
    /// The server's answer. It was said between the question and now, on average half-way.
    pub(crate) fn done(self, server: Timestamp) {
        let error = self.began.elapsed() / 2;
        let passed = self.began.duration_since(self.clock.start) + error;
        self.clock.record(Measured {
            origin: (server - passed).as_millis(),
            error,
            at: Instant::now(),
        });
    }
}

impl Drop for Measurement<'_> {
    fn drop(&mut self) {
        self.clock.measuring.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_asked_once_in_a_while() {
        let clock = ServerClock::new();
        for _ in ["given up", "done"] {
            assert!(matches!(clock.now(), Reading::Due(_)));
        }
        let Reading::Due(measurement) = clock.now() else {
            panic!("nobody has asked");
        };
        measurement.done(Timestamp::from_millis(1_000_000));
        let Reading::Known(shown) = clock.now() else {
            panic!("it was asked just now");
        };
        let shown = shown.as_millis();
        assert!((1_000_000..1_010_000).contains(&shown), "{shown}");
    }

    #[test]
    fn the_server_is_asked_after_a_sleep() {
        let clock = ServerClock::new();
        let Reading::Due(measurement) = clock.now() else {
            panic!("nobody has asked");
        };
        measurement.done(Timestamp::from_millis(1_000_000));
        let known = clock.known.lock().unwrap();
        let (passed, second) = (Duration::from_secs(20), Duration::from_secs(1));
        let (at, wall) = (known.checked + passed, known.wall + passed);
        assert!(!known.has_leapt(at, wall));
        for leapt in [wall + second, wall - second, wall - 2 * passed] {
            assert!(known.has_leapt(at, leapt));
        }

        clock.known.lock().as_mut().unwrap().wall -= second;
        for _ in ["given up", "done"] {
            assert!(matches!(clock.now(), Reading::Due(_)));
        }
        let Reading::Due(measurement) = clock.now() else {
            panic!("nobody has asked since");
        };
        measurement.done(Timestamp::from_millis(1_000_000));
        assert!(matches!(clock.now(), Reading::Known(_)));
    }

    #[test]
    fn a_worse_measurement_counts_only_if_it_disagrees() {
        let clock = ServerClock::new();
        let measured = |origin, error| Measured {
            origin,
            error: Duration::from_millis(error),
            at: clock.start,
        };
        let origin = || clock.known.lock().unwrap().measured.origin;
        clock.record(measured(1_000, 2));
        clock.record(measured(1_010, 50));
        assert_eq!(origin(), 1_000);
        clock.record(measured(1_001, 1));
        assert_eq!(origin(), 1_001);
        clock.record(measured(9_000, 50));
        assert_eq!(origin(), 9_000);
    }
}
