//! Somebody else holds a lock.

use std::{
    convert::identity,
    pin::pin,
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, Saved, SessionId, SessionStore};
use cloakroom_test_support::{Proxy, Way, done_after_a_poll};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::task::JoinSet;

use crate::support::{
    address, by_way_of, connection, fresh, migrated, named, record, server, serving, stored,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_locked_session_holds_up_nobody_else() {
    let store = migrated(fresh()).await;
    let table = store.table();
    let locked = stored(&store, record()).await;
    let mut others = Vec::new();
    for _ in 0..64 {
        others.push(stored(&store, record()).await);
    }
    let mut holder = connection().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("select from {table} where id = '{}' for update", locked.id);
    transaction.execute(AssertSqlSafe(lock)).await.unwrap();

    let waiting = tokio::spawn({
        let (store, locked) = (store.clone(), locked.clone());
        async move { store.save(&locked).await }
    });
    let began = Instant::now();
    let mut saves = JoinSet::new();
    for mut other in others {
        let store = store.clone();
        saves.spawn(async move {
            for _ in 0..3 {
                other = stored(&store, other).await;
            }
        });
    }
    saves.join_all().await;
    let others = began.elapsed();
    assert!(store.load(locked.id).await.unwrap().is_some());
    assert!(!waiting.is_finished());
    transaction.rollback().await.unwrap();
    let saved = waiting.await.unwrap().unwrap();
    println!("savers=64 each=3 took_ms={}", others.as_millis());
    assert!(matches!(saved, Saved::Stored(_)), "{saved:?}");
    assert!(others < Duration::from_secs(2), "{others:?}");
}

/// Each of the locked ones is found among those that share a statement, which are all sent again.
#[tokio::test]
async fn many_locked_sessions_hold_up_the_others_no_longer_than_one() {
    let store = migrated(fresh()).await;
    let table = store.table();
    let mut sessions = Vec::new();
    for _ in 0..36 {
        sessions.push(stored(&store, record()).await.id);
    }
    let (locked, free) = sessions.split_at(32);
    let mut holder = connection().await;
    let mut transaction = holder.begin().await.unwrap();
    let ids: Vec<_> = locked.iter().map(|id| format!("'{id}'")).collect();
    let lock = format!(
        "select from {table} where id in ({}) for update",
        ids.join(", ")
    );
    transaction.execute(AssertSqlSafe(lock)).await.unwrap();

    let touched = |ids: &[SessionId]| {
        let mut touches = JoinSet::new();
        for &id in ids {
            let store = store.clone();
            touches.spawn(async move { store.touch(id, 1).await.unwrap().is_some() });
        }
        touches
    };
    let (waiting, others) = (touched(locked), touched(free));
    let began = Instant::now();
    assert!(others.join_all().await.into_iter().all(identity));
    let took = began.elapsed();
    transaction.rollback().await.unwrap();
    assert!(waiting.join_all().await.into_iter().all(identity));
    println!("locked=32 others=4 took_ms={}", took.as_millis());
    assert!(took < 32 * Duration::from_millis(50), "{took:?}");
}

#[tokio::test]
async fn a_row_that_is_locked_past_the_deadline_costs_no_connection() {
    let proxy = Proxy::start(address(&server()).await).await;
    let (builder, name) = named(&by_way_of(proxy.address()));
    let store = migrated(builder.deadline(Duration::from_secs(1))).await;
    let table = store.table();
    let locked = stored(&store, record()).await;
    let mut saves = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        saves.spawn(async move { stored(&store, record()).await });
    }
    saves.join_all().await;
    let before = serving(&name).await;
    proxy.set(Way::Slow(Duration::from_millis(5)));
    let mut holder = connection().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("select from {table} where id = '{}' for update", locked.id);
    transaction.execute(AssertSqlSafe(lock)).await.unwrap();
    let failed = store.touch(locked.id, 1).await.unwrap_err();
    assert!(matches!(failed, Error::Unavailable(_)), "{failed:?}");
    transaction.rollback().await.unwrap();
    // The server sees a little later who has gone.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = serving(&name).await;
    let lost = before.difference(&after).count();
    println!("connections={} lost={lost}", before.len());
    assert_eq!(lost, 0);
}

/// Touches that share a statement: the session whose row is locked first dies while the other's
/// lock is waited for.
#[tokio::test]
async fn a_touch_is_judged_when_all_that_share_its_statement_are_locked() {
    let store = migrated(fresh()).await;
    let table = store.table();
    let (mut holder, mut other) = (connection().await, connection().await);
    let (mut revived, mut lost) = (0, 0);
    for _ in 0..8 {
        let first = stored(&store, record()).await;
        let mut records = [record(), record()];
        records.sort_by_key(|record| *record.id.as_bytes());
        let [dying, locked] = records;
        let (dying, locked) = (stored(&store, dying).await, stored(&store, locked).await);
        let mut transaction = holder.begin().await.unwrap();
        let lock = format!(
            "select from {table} where id in ('{}', '{}') for update",
            first.id, locked.id
        );
        transaction.execute(AssertSqlSafe(lock)).await.unwrap();
        let soon = format!(
            "update {table} set expires_at = clock_timestamp() + interval '20 milliseconds'
            where id = '{}'",
            dying.id
        );
        other.execute(AssertSqlSafe(soon)).await.unwrap();
        let release = async {
            // Shorter than a shared statement waits for a lock.
            tokio::time::sleep(Duration::from_millis(35)).await;
            transaction.rollback().await.unwrap();
        };
        // It meets no other, and shares no statement.
        let mut alone = pin!(store.touch(first.id, 1));
        assert!(!done_after_a_poll(alone.as_mut()).await);
        let (_, dead, live, ()) = tokio::join!(
            alone,
            store.touch(dying.id, 1),
            store.touch(locked.id, 1),
            release
        );
        revived += u32::from(dead.unwrap().is_some());
        lost += u32::from(live.unwrap().is_none());
    }
    println!("rounds=8 revived={revived} lost={lost}");
    assert_eq!((revived, lost), (0, 0));
}

/// A session dies while its save waits for one who has the row, and then for a second, neither of
/// whom changes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_is_judged_when_its_session_is_locked() {
    let store = migrated(fresh()).await;
    let table = store.table();
    let (mut revived, mut shown_dead) = (0, 0);
    // Long enough for a save that judges nothing, and too short for one.
    for life in [1_600, 400] {
        let known = stored(&store, record()).await;
        let [mut first, mut second] = [connection().await, connection().await];
        let ends = format!(
            "update {table} set expires_at = clock_timestamp() + interval '{life} milliseconds'
            where id = '{}'",
            known.id
        );
        first.execute(AssertSqlSafe(ends)).await.unwrap();
        let lock = format!("select from {table} where id = '{}' for update", known.id);
        let mut holding = first.begin().await.unwrap();
        holding.execute(AssertSqlSafe(&*lock)).await.unwrap();
        let queued = tokio::spawn(async move {
            let mut holding = second.begin().await.unwrap();
            holding.execute(AssertSqlSafe(lock)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(life)).await;
            holding.rollback().await.unwrap();
        });
        let saving = tokio::spawn({
            let (store, known) = (store.clone(), known.clone());
            async move { store.save(&known).await }
        });
        tokio::time::sleep(Duration::from_millis(life * 3 / 4)).await;
        holding.rollback().await.unwrap();
        tokio::time::sleep(Duration::from_millis(life / 2)).await;
        shown_dead += u32::from(store.load(known.id).await.unwrap().is_none());
        let _late_or_gone = saving.await.unwrap();
        queued.await.unwrap();
        // Time for a statement that nobody waits for any more.
        tokio::time::sleep(Duration::from_millis(200)).await;
        revived += u32::from(store.load(known.id).await.unwrap().is_some());
    }
    println!("saves=2 shown_dead={shown_dead} revived={revived}");
    assert_eq!((shown_dead, revived), (2, 0));
}

/// Enough to connect in, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_longer_than_the_deadline() {
    let patient = migrated(fresh()).await;
    let known = stored(&patient, record()).await;
    let store = fresh()
        .table(patient.table().clone())
        .deadline(DEADLINE)
        .connect()
        .await
        .unwrap();
    let mut holder = connection().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("lock table {} in access exclusive mode", store.table());
    transaction.execute(AssertSqlSafe(lock)).await.unwrap();

    let mut calls = JoinSet::new();
    for n in 0..200 {
        let (store, known) = (store.clone(), known.clone());
        calls.spawn(async move {
            let began = Instant::now();
            let failed = match n % 4 {
                0 => store.load(known.id).await.unwrap_err(),
                1 => store.save(&known).await.unwrap_err(),
                2 => store.touch(known.id, 1).await.unwrap_err(),
                _ => store.stats().await.unwrap_err(),
            };
            assert!(matches!(failed, Error::Unavailable(_)), "{failed:?}");
            began.elapsed()
        });
    }
    let longest = calls.join_all().await.into_iter().max().unwrap();
    transaction.rollback().await.unwrap();
    let began = Instant::now();
    let found = store.load(known.id).await.unwrap();
    println!(
        "calls=200 deadline_ms=500 longest_ms={} recovered_after_ms={}",
        longest.as_millis(),
        began.elapsed().as_millis()
    );
    assert!(found.is_some(), "nobody is taken for signed out");
    assert!(longest < 2 * DEADLINE, "{longest:?}");
}
