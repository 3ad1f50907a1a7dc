use std::time::{Duration, Instant};

use cloakroom_store_api::{Clock, Lifetime, ManualClock, Stamp, Timestamp};

/// When a call was decided on the store's clock, as far as one can tell from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    earliest: Timestamp,
    latest: Timestamp,
    /// How far a store's own instants may be apart: some take several steps for one call.
    slack: Duration,
}

impl Moment {
    pub(crate) fn can_be(&self, instant: Timestamp) -> bool {
        self.earliest <= instant && instant <= self.latest
    }

    pub(crate) fn can_be_before(&self, instant: Timestamp) -> bool {
        self.earliest < instant
    }

    pub(crate) fn can_be_from(&self, instant: Timestamp) -> bool {
        self.latest >= instant
    }

    pub(crate) fn is_near(&self, one: Timestamp, other: Timestamp) -> bool {
        one.since(other).max(other.since(one)) <= self.slack
    }

    /// Whether a session of this lifetime, created then or now, can end when it is stored (S3).
    pub(crate) fn ends(&self, lifetime: Lifetime, created_at: Option<Timestamp>) -> bool {
        let old = created_at.is_some_and(|at| self.can_be_from(at + lifetime.absolute()));
        lifetime.idle().is_zero() || lifetime.absolute().is_zero() || old
    }
}

/// What can be known from outside of a store's clock.
#[derive(Debug)]
pub(crate) enum Watch {
    /// It is turned by hand. It shows the latest of what it has shown, and what it is set to.
    Turned { clock: ManualClock, ahead: i64 },
    /// It goes by itself. In a call that began then and took so long, it showed this.
    Going {
        began: Instant,
        shown: Timestamp,
        took: Duration,
        /// How long a call took, at most, that stored a session: it was dated before it got there,
        /// and its own clock is as late as that.
        stored_in: Duration,
    },
}

/// How far a server's clock and its idea of what a session's clock shows may be apart.
const MARGIN: Duration = Duration::from_millis(10);

impl Watch {
    pub(crate) fn turned(clock: &ManualClock) -> Self {
        Self::Turned {
            clock: clock.clone(),
            ahead: i64::MIN,
        }
    }

    pub(crate) fn going(began: Instant, took: Duration, stamp: &Stamp) -> Self {
        let shown = stamp.now();
        Self::Going {
            began,
            shown,
            took,
            stored_in: Duration::ZERO,
        }
    }

    /// All sessions have ended.
    pub(crate) fn cleared(&mut self) {
        if let Self::Going { stored_in, .. } = self {
            *stored_in = Duration::ZERO;
        }
    }

    /// Allows for sessions that are as late as this call was, which began then.
    pub(crate) fn stored_since(&mut self, before: Timestamp) {
        let now = self.now();
        if let Self::Going { stored_in, .. } = self {
            *stored_in = now.since(before).max(*stored_in);
        }
    }

    /// Allows for a node that shows another time, as one does that waited long when it asked its
    /// server for the time.
    ///
    /// # Panics
    ///
    /// If they are a second apart.
    pub(crate) fn allow(&mut self, node: &Self) {
        let (
            Self::Going {
                began, shown, took, ..
            },
            Self::Going {
                began: at,
                shown: other,
                took: asked,
                ..
            },
        ) = (self, node)
        else {
            return;
        };
        let expected = *shown + at.duration_since(*began);
        let apart = expected.since(*other).max(other.since(expected));
        assert!(apart < Duration::from_secs(1), "a node is {apart:?} off");
        *took = (*took).max(*asked + apart);
    }

    /// What the clock of a store shows that looks at it now, or a little more.
    pub(crate) fn now(&mut self) -> Timestamp {
        match self {
            Self::Turned { clock, ahead } => {
                let passed = i64::try_from(clock.monotonic().as_millis()).unwrap_or(i64::MAX);
                *ahead = (*ahead).max(clock.wall().as_millis() - passed);
                Timestamp::from_millis(*ahead + passed)
            }
            Self::Going { began, shown, .. } => *shown + began.elapsed(),
        }
    }

    /// When a call was decided that began then and is done now.
    pub(crate) fn since(&mut self, began: Timestamp) -> Moment {
        let now = self.now();
        match self {
            Self::Turned { .. } => Moment {
                earliest: began,
                latest: now,
                slack: Duration::ZERO,
            },
            Self::Going {
                took, stored_in, ..
            } => Moment {
                earliest: began - (MARGIN + *took + *stored_in),
                latest: now + (MARGIN + *took),
                slack: now.since(began) + Duration::from_millis(2),
            },
        }
    }
}
