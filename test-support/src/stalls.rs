use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Watches for how long this machine lets nobody run: what took longer by that was not slow.
#[derive(Debug)]
pub struct Stalls(Arc<AtomicU64>);

/// How often it looks.
const TICK: Duration = Duration::from_millis(10);

impl Stalls {
    /// Watches from here on.
    #[must_use]
    pub fn watched() -> Self {
        let total = Arc::new(AtomicU64::new(0));
        let watched = Arc::downgrade(&total);
        thread::spawn(move || {
            let mut last = Instant::now();
            loop {
                thread::sleep(TICK);
                let late = last.elapsed().saturating_sub(2 * TICK);
                last = Instant::now();
                let Some(total) = watched.upgrade() else {
                    return;
                };
                total.fetch_add(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), Relaxed);
            }
        });
        Self(total)
    }

    /// How long that was, all in all.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}
