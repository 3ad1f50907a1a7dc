//! A server that is killed while it writes. `CLOAKROOM_ROUNDS` sets how often.

use std::{sync::Arc, time::Duration};

use cloakroom_store_api::SessionStore;
use cloakroom_test_support::{Differences, Ledger, Postgres, rounds};
use tokio::time::sleep;

use crate::support::{migrated, named};

const CALLERS: u32 = 16;

/// Kills it, each time after up to a quarter of a second; until something is different.
async fn killed(settings: &str) -> Differences {
    let most = rounds(5);
    let mut server = Postgres::start_as(settings);
    let (builder, _) = named(&server.url());
    let store = migrated(builder.deadline(Duration::from_secs(1))).await;
    let store: Arc<dyn SessionStore> = Arc::new(store);
    let ledger = Arc::new(Ledger::default());
    let (mut all, mut kills) = (Differences::default(), 0);
    while kills < most && all == Differences::default() {
        kills += 1;
        let callers = ledger.fill(&store, CALLERS);
        let told = ledger.answers();
        while ledger.answers() < told + 100 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(fastrand::u64(1..250))).await;
        server.kill();
        callers.end().await;
        server.start_again();
        while store.ping().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        all += ledger.compare_all(&*store).await;
    }
    println!("kills={kills} acked={} {all}", ledger.answers());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_all_that_it_answered() {
    let found = killed("fsync = on\nfull_page_writes = on").await;
    assert_eq!(found, Differences::default());
}

/// So the comparison can find a loss. The server writes its log so late that some is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_answers_before_it_writes_loses_sessions() {
    let found = killed("synchronous_commit = off\nwal_writer_delay = 10s").await;
    assert!(
        found.lost + found.revived > 0 && found.wrong == 0,
        "{found}"
    );
}
