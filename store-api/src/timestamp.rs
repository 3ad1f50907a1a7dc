use std::{
    ops::{Add, Sub},
    time::Duration,
};

use time::OffsetDateTime;

/// An instant on a store's clock, in whole milliseconds since 1970-01-01 UTC.
///
/// A record's deadline is judged and kept in these. Arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant this many milliseconds after 1970-01-01 UTC.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

impl From<Timestamp> for OffsetDateTime {
    /// Instants that `time` cannot express become the nearest that it can.
    fn from(Timestamp(millis): Timestamp) -> Self {
        // The addition that saturates takes twice as long, and every load has two of these.
        let millisecond = u16::try_from(millis.rem_euclid(1_000)).unwrap_or_default();
        OffsetDateTime::from_unix_timestamp(millis.div_euclid(1_000))
            .and_then(|instant| instant.replace_millisecond(millisecond))
            .unwrap_or_else(|_| {
                OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::milliseconds(millis))
            })
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(instant: OffsetDateTime) -> Self {
        Self(instant.unix_timestamp() * 1_000 + i64::from(instant.millisecond()))
    }
}

/// A duration in whole milliseconds, as many as there are at most.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_keep_their_milliseconds() {
        for millis in [i64::MIN, -1, 0, 1, 1_700_000_000_123] {
            let instant = OffsetDateTime::from(Timestamp(millis));
            if millis > -377_000_000_000_000 {
                assert_eq!(Timestamp::from(instant), Timestamp(millis));
            }
        }
    }
}
