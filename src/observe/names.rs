//! The metrics' names, and what they mean.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

pub(super) const STORE_SECONDS: &str = "cloakroom_store_seconds";
pub(super) const STORE: &str = "cloakroom_store_total";
pub(super) const CORRUPT: &str = "cloakroom_corrupt_total";
pub(super) const DEGRADED: &str = "cloakroom_degraded_total";
pub(super) const CHANGES_DROPPED: &str = "cloakroom_changes_dropped_total";
pub(super) const SWEEP_REMOVED: &str = "cloakroom_sweep_removed_total";
pub(super) const SWEEP_LAST_SUCCESS: &str = "cloakroom_sweep_last_success_timestamp_seconds";
pub(super) const SESSIONS_LIVE: &str = "cloakroom_sessions_live";
pub(super) const SESSIONS_EXPIRED: &str = "cloakroom_sessions_expired";

/// Tells the recorder of metrics what each metric of this crate means, and begins its counters.
///
/// To be called once, after the recorder of the crate `metrics` was installed. Without it all is
/// counted just the same. But a counter that first appears at 1 has not increased, as Prometheus
/// sees it, and the first unreadable session would go unnoticed; this one begins at 0. Counters
/// with labels begin with their first call.
pub fn describe_metrics() {
    describe_histogram!(
        STORE_SECONDS,
        Unit::Seconds,
        "How long calls on the session store took"
    );
    describe_counter!(STORE, Unit::Count, "Calls on the session store");
    describe_counter!(
        CORRUPT,
        Unit::Count,
        "Sessions that could not be read and counted as none"
    );
    describe_counter!(
        DEGRADED,
        Unit::Count,
        "Requests that went on without their session because the store failed"
    );
    describe_counter!(
        CHANGES_DROPPED,
        Unit::Count,
        "Sessions whose changes after the response were never committed"
    );
    describe_counter!(
        SWEEP_REMOVED,
        Unit::Count,
        "Ended sessions that were deleted"
    );
    describe_gauge!(
        SWEEP_LAST_SUCCESS,
        Unit::Seconds,
        "When a sweep last came to its end, since 1970"
    );
    describe_gauge!(SESSIONS_LIVE, Unit::Count, "Live sessions, as last counted");
    describe_gauge!(
        SESSIONS_EXPIRED,
        Unit::Count,
        "Ended sessions not yet deleted, as last counted"
    );
    for name in [CORRUPT, DEGRADED, CHANGES_DROPPED, SWEEP_REMOVED] {
        counter!(name).increment(0);
    }
}
