use std::{
    future::Future,
    num::NonZeroU32,
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::time::timeout;

use crate::{
    observe, random,
    store::{self, SessionStore},
};

/// Deletes sessions that have ended, from time to time, in the application itself.
///
/// Stores that do not reclaim what is dead by themselves need it, or `cloakroom sweep` by cron:
/// each store's page says so. A folder of sled's can be swept in the application only. Any
/// number of nodes may run one on the same store: they share the work.
///
/// A sweep is a row of batches. An error ends that sweep, and the next one comes sooner: after
/// a second, then two, four and so on, up to the interval. What it does is counted in
/// `cloakroom_sweep_removed_total` and, as every store call, `cloakroom_store_total` and
/// `cloakroom_store_seconds`; `cloakroom_sweep_last_success_timestamp_seconds` is when a sweep
/// last came to its end, in seconds since 1970. How many sessions there are, it says if
/// [asked](Self::count_sessions).
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{future::pending, sync::Arc};
/// use cloakroom::Sweeper;
///
/// let store = cloakroom::connect("sled:/var/lib/app/sessions").await?;
/// tokio::spawn(Sweeper::new(Arc::clone(&store)).run_until(pending()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it does nothing before it runs"]
pub struct Sweeper {
    store: Arc<dyn SessionStore>,
    interval: Duration,
    batch: NonZeroU32,
    pause: Duration,
    counts: bool,
}

impl Sweeper {
    /// A sweeper of this store, with the default settings.
    pub fn new(store: impl SessionStore) -> Self {
        Self {
            store: Arc::new(store),
            interval: Duration::from_hours(1),
            batch: NonZeroU32::new(1000).expect("it is not 0"),
            pause: Duration::from_millis(10),
            counts: false,
        }
    }

    /// How long it rests between two sweeps, on average; an hour by default.
    ///
    /// Each rest is 50 to 150 % of it, so that nodes which were started together do not go on
    /// together. The first sweep begins within a minute, or within the interval if that is
    /// shorter.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// How many sessions one call on the store removes at most; 1,000 by default.
    pub fn batch(self, batch: NonZeroU32) -> Self {
        Self { batch, ..self }
    }

    /// How long it rests between two batches; 10 ms by default.
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Counts the sessions after each sweep, for the gauges `cloakroom_sessions_live`, by
    /// persistence, and `cloakroom_sessions_expired`; it does not by default.
    ///
    /// Stores read through all that they hold for it. Where several nodes sweep, one that does
    /// this is enough.
    #[cfg(feature = "metrics")]
    pub fn count_sessions(self) -> Self {
        Self {
            counts: true,
            ..self
        }
    }

    /// Sweeps until `stop` is ready. A batch that has begun is finished.
    ///
    /// With [`pending()`](std::future::pending) it sweeps as long as the runtime lives. The future
    /// can be dropped at any time. It needs a Tokio runtime with time enabled.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut rest = FIRST.min(self.interval).mul_f64(random::share());
        let mut failures = 0;
        while rested(rest, stop.as_mut()).await {
            rest = match self.sweep(stop.as_mut()).await {
                Ok(ControlFlow::Break(())) => return,
                Ok(ControlFlow::Continue(())) => {
                    failures = 0;
                    jittered(self.interval)
                }
                Err(_) => {
                    let backoff = BACKOFF.saturating_mul(1 << failures.min(MOST_DOUBLINGS));
                    failures += 1;
                    jittered(backoff.min(self.interval))
                }
            };
        }
    }

    /// Removes what is dead now. Told to stop, it is content with less.
    async fn sweep(
        &self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> store::Result<ControlFlow<()>> {
        let mut removed = 0;
        loop {
            let swept = observe::swept(self.store.sweep(self.batch)).await?;
            removed += swept.removed;
            if !swept.more {
                observe::sweep_done(removed);
                if self.counts {
                    observe::sessions(self.store.stats()).await;
                }
                return Ok(ControlFlow::Continue(()));
            }
            if !rested(self.pause, stop.as_mut()).await {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}

/// When the first sweep comes, at the latest.
const FIRST: Duration = Duration::from_mins(1);

/// The rest after a first failure.
const BACKOFF: Duration = Duration::from_secs(1);

/// A rest of 36 hours: longer than any interval that makes sense.
const MOST_DOUBLINGS: u32 = 17;

/// 50 to 150 % of a duration.
fn jittered(duration: Duration) -> Duration {
    // The longest durations are out of its reach, and need no jitter.
    let share = 0.5 + random::share();
    Duration::try_from_secs_f64(duration.as_secs_f64() * share).unwrap_or(duration)
}

/// Rests, and says whether nobody has told to stop.
async fn rested(duration: Duration, stop: Pin<&mut impl Future<Output = ()>>) -> bool {
    timeout(duration, stop).await.is_err()
}
