//! A server that is killed while it writes. `CLOAKROOM_ROUNDS` sets how often.

use std::{sync::Arc, time::Duration};

use cloakroom_store_api::SessionStore;
use cloakroom_test_support::{Differences, Ledger, rounds};
use tokio::time::sleep;

use crate::servers::OwnServer;

const CALLERS: u32 = 16;

/// Kills it so often, each time after up to a quarter of a second.
async fn killed(settings: &str, kills: u32) -> Differences {
    let mut server = OwnServer::start(settings).await;
    let builder = server.fresh().deadline(Duration::from_secs(1));
    let store: Arc<dyn SessionStore> = Arc::new(builder.connect().await.unwrap());
    let ledger = Arc::new(Ledger::default());
    let mut all = Differences::default();
    for _ in 0..kills {
        let callers = ledger.fill(&store, CALLERS);
        let told = ledger.answers();
        // By then one of the callers has a session that stays.
        while ledger.answers() < told + 800 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(fastrand::u64(1..250))).await;
        server.kill();
        callers.end().await;
        server.restart().await;
        while store.ping().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        all += ledger.compare(&*store).await;
    }
    println!("kills={kills} acked={} {all}", ledger.answers());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_syncs_always_has_all_that_it_answered() {
    let found = killed("--appendonly yes --appendfsync always", rounds(5)).await;
    assert_eq!(found, Differences::default());
}

/// While one second's sync is under way, Redis answers before it has written, for up to two
/// seconds: what it then answered may be lost, and is not promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_syncs_every_second_has_nothing_wrong() {
    let found = killed("--appendonly yes --appendfsync everysec", rounds(5)).await;
    assert_eq!(found.wrong, 0);
}

/// So the comparison can find a loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_writes_nothing_loses_sessions() {
    let found = killed("--appendonly no", 1).await;
    assert!(found.lost > 0 && found.wrong == 0, "{found}");
}
