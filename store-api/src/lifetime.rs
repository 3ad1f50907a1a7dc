use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Whether the session's cookie has an age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Persistence {
    /// The cookie dies with the browser.
    #[default]
    Browser,
    /// The cookie has an age, and outlives the browser: "Remember me".
    Persistent,
}

/// How long one session lives, kept in its record.
///
/// A session ends when it was idle for [`idle`](Self::idle), or when it is
/// [`absolute`](Self::absolute) old, whichever comes first. Both are cut to whole milliseconds
/// and to [`Lifetime::LIMIT`], so that nothing overflows and nothing is immortal. Zero ends a
/// session at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lifetime {
    persistence: Persistence,
    idle: u64,
    absolute: u64,
}

impl Lifetime {
    /// 100 years of 365 days, the longest either timeout can be.
    pub const LIMIT: Duration = Duration::from_hours(100 * 365 * 24);

    /// The default for a session that dies with the browser: 30 minutes idle, 12 hours at most.
    ///
    /// OWASP's Session Management Cheat Sheet has 15 to 30 minutes of idleness for low-risk
    /// applications and 4 to 8 hours for an office day; NIST SP 800-63B has 30 minutes and 12
    /// hours at AAL2 in its revision 3, and an hour and 24 hours in revision 4.
    pub const BROWSER: Self = Self {
        persistence: Persistence::Browser,
        idle: 30 * MINUTE,
        absolute: 12 * 60 * MINUTE,
    };

    /// The default for "Remember me": 14 days idle (Django's cookie age), 90 days at most.
    pub const PERSISTENT: Self = Self {
        persistence: Persistence::Persistent,
        idle: 14 * 24 * 60 * MINUTE,
        absolute: 90 * 24 * 60 * MINUTE,
    };

    /// A lifetime with these timeouts.
    #[must_use]
    pub fn new(persistence: Persistence, idle: Duration, absolute: Duration) -> Self {
        Self {
            persistence,
            idle: millis(idle),
            absolute: millis(absolute),
        }
    }

    /// Whether the cookie has an age.
    #[must_use]
    pub const fn persistence(&self) -> Persistence {
        self.persistence
    }

    /// The session ends this long after its last use. For a persistent session it is the
    /// cookie's age.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle)
    }

    /// The session ends this long after its creation, however busy.
    #[must_use]
    pub const fn absolute(&self) -> Duration {
        Duration::from_millis(self.absolute)
    }

    /// When a session of this lifetime ends if it is not used again.
    #[must_use]
    pub fn expires_at(&self, created_at: Timestamp, last_use: Timestamp) -> Timestamp {
        (last_use + self.idle()).min(created_at + self.absolute())
    }
}

const MINUTE: u64 = 60 * 1000;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.min(Lifetime::LIMIT).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_clamped_to_100_years_and_whole_milliseconds() {
        let lifetime = Lifetime::new(
            Persistence::Browser,
            Duration::MAX,
            Duration::from_micros(1999),
        );
        assert_eq!(lifetime.idle(), Lifetime::LIMIT);
        assert_eq!(lifetime.absolute(), Duration::from_millis(1));
    }

    #[test]
    fn the_earlier_timeout_ends_the_session() {
        let at = Timestamp::from_millis;
        let lifetime = Lifetime::new(
            Persistence::Browser,
            Duration::from_millis(10),
            Duration::from_millis(25),
        );
        assert_eq!(lifetime.expires_at(at(100), at(100)), at(110));
        assert_eq!(lifetime.expires_at(at(100), at(114)), at(124));
        assert_eq!(lifetime.expires_at(at(100), at(116)), at(125));
    }

    #[test]
    fn the_defaults_are_what_the_documentation_says() {
        assert_eq!(Lifetime::BROWSER.idle(), Duration::from_mins(30));
        assert_eq!(Lifetime::BROWSER.absolute(), Duration::from_hours(12));
        assert_eq!(Lifetime::PERSISTENT.idle(), Duration::from_hours(14 * 24));
        assert_eq!(
            Lifetime::PERSISTENT.absolute(),
            Duration::from_hours(90 * 24)
        );
        assert_eq!(Persistence::default(), Persistence::Browser);
    }
}
