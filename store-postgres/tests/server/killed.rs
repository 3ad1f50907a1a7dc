//! Connections that the server ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use cloakroom_store_api::{Error, Record, Saved, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::Postgres;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;

use crate::support::{migrated, named, record, stored};

/// What the calls of one user came to.
#[derive(Default)]
struct Counts {
    loads: u32,
    failed_loads: u32,
    saves: u32,
    unknown_saves: u32,
    torn: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_connections_that_the_server_ends_tear_nothing() {
    let server = Postgres::start();
    let (builder, name) = named(&server.url());
    let store = migrated(builder).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut users = JoinSet::new();
    for _ in 0..16 {
        let record = stored(&store, record()).await;
        users.spawn(use_session(store.clone(), record, Arc::clone(&stop)));
    }
    let kill = format!(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name = '{name}' and random() < 0.5"
    );
    let mut administrator = PgConnection::connect(&server.url()).await.unwrap();
    let mut killed = 0;
    while killed < 1000 {
        killed += sqlx::query_scalar::<_, i64>(AssertSqlSafe(kill.clone()))
            .fetch_one(&mut administrator)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Relaxed);
    let mut all = Counts::default();
    for counts in users.join_all().await {
        all.loads += counts.loads;
        all.failed_loads += counts.failed_loads;
        all.saves += counts.saves;
        all.unknown_saves += counts.unknown_saves;
        all.torn += counts.torn;
    }
    println!(
        "killed={killed} loads={} failed_loads={} saves={} unknown_saves={} torn={}",
        all.loads, all.failed_loads, all.saves, all.unknown_saves, all.torn
    );
    assert!(all.saves > 0);
    assert_eq!(all.torn, 0);
}

/// Loads and saves a session that nobody else uses: only an answer that was lost explains what it
/// was not told.
async fn use_session(store: PostgresStore, mut known: Record, stop: Arc<AtomicBool>) -> Counts {
    let (mut counts, mut is_unknown) = (Counts::default(), false);
    while !stop.load(Relaxed) {
        let found = match store.load(known.id).await {
            Ok(found) => found.expect("nobody ended the session"),
            // The connections of all its tries were ended.
            Err(Error::Unavailable(_)) => {
                counts.failed_loads += 1;
                continue;
            }
            Err(error) => panic!("{error:?}"),
        };
        counts.loads += 1;
        let as_told = found.revision == known.revision;
        let as_lost = is_unknown && found.revision == known.revision + 1;
        counts.torn += u32::from(!as_told && !as_lost);
        known = found;
        match store.save(&known).await {
            Ok(Saved::Stored(stamp)) => {
                known = known.stored(stamp);
                counts.saves += 1;
                is_unknown = false;
            }
            // Given up at its deadline, a save may be done later.
            Ok(Saved::Conflict) if is_unknown => {}
            Ok(_) => counts.torn += 1,
            Err(Error::Unavailable(_)) => {
                counts.unknown_saves += 1;
                is_unknown = true;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    counts
}
