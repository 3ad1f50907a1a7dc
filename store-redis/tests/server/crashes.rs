//! A server that is killed while it writes. `CLOAKROOM_ROUNDS` sets how often.

use std::{env, sync::Arc, time::Duration};

use cloakroom_store_api::SessionStore;
use cloakroom_test_support::{Differences, Ledger};
use tokio::time::sleep;

use crate::servers::OwnServer;

const CALLERS: u32 = 16;

/// Kills it, each time after up to a quarter of a second, until something is different.
async fn killed(settings: &str) -> Differences {
    let most: u32 = env::var("CLOAKROOM_ROUNDS").map_or(5, |rounds| {
        rounds.parse().expect("CLOAKROOM_ROUNDS is a number")
    });
    let mut server = OwnServer::start(settings).await;
    let builder = server.fresh().deadline(Duration::from_secs(1));
    let store: Arc<dyn SessionStore> = Arc::new(builder.connect().await.unwrap());
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
        server.restart().await;
        while store.ping().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        all += ledger.compare_all(&*store).await;
    }
    println!("kills={kills} acked={} {all}", ledger.answers());
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_syncs_always_has_all_that_it_answered() {
    let found = killed("--appendonly yes --appendfsync always").await;
    assert_eq!(found, Differences::default());
}

/// A kill of the process alone: what it has written is with the operating system. A crash of the
/// machine may take the last second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_syncs_every_second_has_all_that_it_answered() {
    let found = killed("--appendonly yes --appendfsync everysec").await;
    assert_eq!(found, Differences::default());
}

/// So the comparison can find a loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_writes_nothing_loses_sessions() {
    let found = killed("--appendonly no").await;
    assert!(
        found.lost + found.revived > 0 && found.wrong == 0,
        "{found}"
    );
}
