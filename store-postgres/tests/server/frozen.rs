//! A server that stops answering, and answers again.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, Record, Saved, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::{Postgres, Proxy, Way};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{migrated, named, record, stored};

const DEADLINE: Duration = Duration::from_secs(2);
const CALLERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_hangs_nobody_and_signs_nobody_out() {
    let server = Postgres::start();
    let proxy = Proxy::start(server.address()).await;
    let (builder, _) = named(&server.url_at(proxy.address()));
    let store = migrated(builder.deadline(DEADLINE)).await;
    let mut records = Vec::new();
    for _ in 0..CALLERS {
        records.push(stored(&store, record()).await);
    }

    let callers = Callers::start(&store, &records);
    server.process().freeze();
    sleep(Duration::from_secs(10)).await;
    server.process().thaw();
    callers.recover("frozen_s=10").await;

    let callers = Callers::start(&store, &records);
    proxy.set(Way::Silent);
    sleep(2 * DEADLINE).await;
    proxy.set(Way::Open);
    callers.recover("silent_s=4").await;
}

/// Callers that call until they are served after the server's return.
struct Callers {
    tasks: JoinSet<Noted>,
    back: Arc<OnceLock<Instant>>,
}

/// What one caller has seen.
#[derive(Default)]
struct Noted {
    calls: u32,
    failed: u32,
    signed_out: u32,
    longest: Duration,
    recovered_after: Duration,
}

impl Callers {
    fn start(store: &PostgresStore, records: &[Record]) -> Self {
        let mut tasks = JoinSet::new();
        let back = Arc::new(OnceLock::new());
        for record in records {
            tasks.spawn(keep_calling(
                store.clone(),
                record.clone(),
                Arc::clone(&back),
            ));
        }
        Self { tasks, back }
    }

    async fn recover(self, what: &str) {
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
            "{what} callers={CALLERS} calls={calls} failed={failed} longest_ms={} \
             recovered_after_ms={} signed_out={signed_out}",
            longest.as_millis(),
            last.as_millis()
        );
        assert!(failed >= 200, "everybody waited in vain");
        assert_eq!(signed_out, 0);
        assert!(longest < 2 * DEADLINE, "{longest:?}");
        assert!(last < Duration::from_secs(1), "{last:?}");
    }
}

async fn keep_calling(
    store: PostgresStore,
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
