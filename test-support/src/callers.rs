use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, Record, Saved, SessionStore};
use tokio::task::JoinSet;

use crate::Stalls;

/// Callers that load and save, each its own session, until they are served after the server's
/// return.
#[derive(Debug)]
pub struct Callers {
    tasks: JoinSet<Noted>,
    stalls: Stalls,
    back: Arc<OnceLock<Instant>>,
}

/// What one caller has seen.
#[derive(Debug, Default)]
struct Noted {
    calls: u32,
    failed: u32,
    signed_out: u32,
    longest: Duration,
    recovered_after: Duration,
}

impl Callers {
    /// Lets one call for each of the records, which are stored.
    pub fn start(store: &Arc<dyn SessionStore>, records: &[Record]) -> Self {
        let mut tasks = JoinSet::new();
        let stalls = Stalls::watched();
        let back = Arc::new(OnceLock::new());
        for record in records {
            tasks.spawn(keep_calling(
                Arc::clone(store),
                record.clone(),
                Arc::clone(&back),
            ));
        }
        Self {
            tasks,
            stalls,
            back,
        }
    }

    /// Says that the server is back, waits until everybody is served, and prints how it went.
    ///
    /// # Panics
    ///
    /// If nobody was in vain, somebody waited longer than twice the store's deadline or was
    /// served later than a second after the return, not counting when this machine stood still, or
    /// a session was gone.
    pub async fn recover(self, what: &str, deadline: Duration) {
        let callers = self.tasks.len();
        self.back.set(Instant::now()).unwrap();
        let noted = self.tasks.join_all().await;
        let sum = |count: fn(&Noted) -> u32| noted.iter().map(count).sum::<u32>();
        let [calls, failed, signed_out] = [
            sum(|noted| noted.calls),
            sum(|noted| noted.failed),
            sum(|noted| noted.signed_out),
        ];
        let longest = noted.iter().map(|noted| noted.longest).max().unwrap();
        let last = noted.iter().map(|noted| noted.recovered_after).max();
        let last = last.unwrap();
        println!(
            "{what} callers={callers} calls={calls} failed={failed} longest_ms={} \
             recovered_after_ms={} signed_out={signed_out}",
            longest.as_millis(),
            last.as_millis()
        );
        assert!(failed > 0, "nobody noticed that the server was away");
        assert_eq!(signed_out, 0);
        let stalled = self.stalls.total();
        assert!(
            longest < 2 * deadline + stalled,
            "{longest:?}, {stalled:?} of it stalled"
        );
        assert!(
            last < Duration::from_secs(1) + stalled,
            "{last:?}, {stalled:?} of it stalled"
        );
    }
}

async fn keep_calling(
    store: Arc<dyn SessionStore>,
    mut known: Record,
    back: Arc<OnceLock<Instant>>,
) -> Noted {
    let mut noted = Noted::default();
    loop {
        let began = Instant::now();
        let served = match noted.calls % 2 {
            0 => store.load(known.id).await.map(|found| {
                noted.signed_out += u32::from(found.is_none());
                known = found.unwrap_or_else(|| known.clone());
            }),
            _ => store.save(&known).await.map(|saved| {
                // A save that was given up may have been done.
                noted.signed_out += u32::from(saved == Saved::Gone);
            }),
        };
        noted.calls += 1;
        noted.longest = noted.longest.max(began.elapsed());
        match served {
            Ok(()) => {
                if let Some(back) = back.get() {
                    noted.recovered_after = back.elapsed();
                    return noted;
                }
            }
            Err(Error::Unavailable(_)) => noted.failed += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
}
