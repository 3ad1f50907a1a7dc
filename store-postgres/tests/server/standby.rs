//! A primary that dies, and its synchronous standby that takes over behind the same address.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use cloakroom_store_api::{Error, SessionId, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::{Postgres, Proxy};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    errors::words,
    support::{migrated, named, record, stored},
};

/// What a caller was told.
enum Told {
    /// It has at least this revision.
    Stored(SessionId, u64),
    Ended(SessionId),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promoted_standby_has_all_that_was_acknowledged() {
    let mut primary = Postgres::start();
    let standby = primary.synchronous_standby();
    let proxy = Proxy::start(primary.address()).await;
    let (builder, _) = named(&primary.url_at(proxy.address()));
    let store = migrated(builder).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        callers.spawn(keep_writing(store.clone(), Arc::clone(&stop)));
    }
    sleep(Duration::from_secs(1)).await;
    primary.kill();
    standby.promote();
    proxy.lead_to(standby.address());
    sleep(Duration::from_secs(1)).await;
    stop.store(true, Relaxed);

    let (mut acked, mut lost, mut unknown, mut healed) = (0, 0, 0, 0);
    for (told, failed) in callers.join_all().await {
        unknown += failed;
        healed += 1;
        for told in told {
            acked += 1;
            lost += u32::from(match told {
                Told::Stored(id, revision) => {
                    let found = store.load(id).await.unwrap();
                    found.is_none_or(|found| found.revision < revision)
                }
                Told::Ended(id) => store.load(id).await.unwrap().is_some(),
            });
        }
    }
    println!("acked={acked} lost={lost} unknown={unknown} callers_healed={healed}");
    assert!(acked > 0 && unknown > 0);
    assert_eq!((lost, healed), (0, 16));
}

/// Writes until it is told to stop, and then until it was served once more.
async fn keep_writing(store: PostgresStore, stop: Arc<AtomicBool>) -> (Vec<Told>, u32) {
    let (mut told, mut failed) = (Vec::new(), 0);
    loop {
        let is_last = stop.load(Relaxed);
        let told_before = told.len();
        match write(&store, &mut told).await {
            Ok(()) if is_last => return (told, failed),
            Ok(()) => {}
            Err(Error::Unavailable(_)) => {
                failed += 1;
                // Nobody listens, and says so at once.
                sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("after {told_before}: {error:?}"),
        }
    }
}

/// Stores a session, saves it twice, and ends every other one.
async fn write(store: &PostgresStore, told: &mut Vec<Told>) -> Result<(), Error> {
    let mut record = record();
    for _ in 0..3 {
        let stamp = match store.save(&record).await? {
            cloakroom_store_api::Saved::Stored(stamp) => stamp,
            other => panic!("nobody else writes: {other:?}"),
        };
        record = record.stored(stamp);
        if let Some(Told::Stored(_, revision)) = told
            .last_mut()
            .filter(|told| matches!(told, Told::Stored(id, _) if *id == record.id))
        {
            *revision = record.revision;
        } else {
            told.push(Told::Stored(record.id, record.revision));
        }
    }
    if fastrand::bool() {
        // From here on nothing is promised until it is answered.
        told.pop();
        store.expire(record.id).await?;
        told.push(Told::Ended(record.id));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_standby_shows_sessions_and_refuses_writes() {
    let primary = Postgres::start();
    let (builder, _) = named(&primary.url());
    let theirs = migrated(builder).await;
    let known = stored(&theirs, record()).await;
    let standby = primary.synchronous_standby();
    let (builder, _) = named(&standby.url());
    let store = builder
        .table(theirs.table().clone())
        .connect()
        .await
        .unwrap();
    assert!(store.load(known.id).await.unwrap().is_some());
    for error in [
        store.save(&known).await.unwrap_err(),
        store.save(&record()).await.unwrap_err(),
        store.touch(known.id, 1).await.unwrap_err(),
        store.expire(known.id).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        let words = words(&error);
        assert!(words.contains("read-only"), "{words}");
    }
}
