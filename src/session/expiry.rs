//! When a session ends, and when the browser has to be told: M8 to M10.

use crate::{
    layer::Config,
    store::{Lifetime, Persistence, Record, Timestamp},
};

/// Whether a touch would move the deadline by at least 1/20 of the idle timeout (M8), or renew the
/// cookie: what was saved after a response could not, and the next request does.
pub(super) fn touch_pays(record: &Record) -> bool {
    let Some(stamp) = record.stamp else {
        return false;
    };
    let lifetime = record.lifetime;
    // For most requests the idle timeout settles it: the absolute one can only allow less.
    let gain_at_most = lifetime.idle().saturating_sub(stamp.remaining);
    if gain_at_most * 20 < lifetime.idle() && lifetime.persistence() == Persistence::Browser {
        return false;
    }
    let before = Timestamp::from(stamp.expires_at);
    let touched = lifetime.expires_at(stamp.created_at.into(), stamp.now());
    let gain = touched.since(before);
    !gain.is_zero() && (gain * 20 >= lifetime.idle() || passes_renewal(lifetime, before, touched))
}

/// The record's lifetime once it has the persistence that was asked for (M9).
///
/// A session that becomes browser-length may get as old as it is and a browser-length session
/// more, so that the switch signs out nobody, but no older than it might have before.
pub(super) fn switched(record: &Record, wanted: Option<Persistence>, config: &Config) -> Lifetime {
    let current = record.lifetime;
    let Some(wanted) = wanted.filter(|wanted| *wanted != current.persistence()) else {
        return current;
    };
    let new = config.lifetime(wanted);
    match (wanted, record.stamp) {
        (Persistence::Browser, Some(stamp)) => {
            let age = stamp.now().since(stamp.created_at.into());
            let absolute = current.absolute().min(age + new.absolute());
            Lifetime::new(wanted, new.idle(), absolute)
        }
        _ => new,
    }
}

/// Whether the browser has to be told of this change of its session (M10).
///
/// A persistent cookie is sent again whenever the deadline passes a multiple of 1/20 of its age.
/// A move by 1/20 always does; small moves, as of a session that is saved with every request, do
/// at the same rate, so that the cookie of a session in use never runs out.
pub(super) fn renews_cookie(before: &Record, after: &Record) -> bool {
    let persistence = after.lifetime.persistence();
    if before.id != after.id || before.lifetime.persistence() != persistence {
        return true;
    }
    let deadline = |record: &Record| record.stamp.map(|stamp| Timestamp::from(stamp.expires_at));
    match (deadline(before), deadline(after)) {
        (Some(before), Some(now)) => passes_renewal(after.lifetime, before, now),
        _ => false,
    }
}

/// Whether a multiple of 1/20 of the cookie's age is between two deadlines.
fn passes_renewal(lifetime: Lifetime, before: Timestamp, after: Timestamp) -> bool {
    let step = i64::try_from(lifetime.idle().as_millis() / 20)
        .unwrap_or(i64::MAX)
        .max(1);
    lifetime.persistence() == Persistence::Persistent
        && before.as_millis().div_euclid(step) != after.as_millis().div_euclid(step)
}
