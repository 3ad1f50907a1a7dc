//! Callers that go away.

use std::{
    num::NonZeroU32,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cloakroom_store_api::{Age, Record, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::dropped_after;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::task::JoinSet;

use crate::support::{connection, connections, migrated, named, number, record, server, stored};

const POOL: usize = 4;

/// What a call is about.
struct About {
    stored: Record,
    moved: Record,
    new: Record,
}

impl About {
    async fn new(store: &PostgresStore) -> Self {
        let owned = Record {
            owner: Some("ann".parse().unwrap()),
            ..record()
        };
        let stored = stored(store, owned).await;
        Self {
            moved: Record {
                id: record().id,
                ..stored.clone()
            },
            stored,
            new: record(),
        }
    }
}

type Call<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

fn calls<'a>(store: &'a PostgresStore, about: &'a About) -> [Call<'a>; 13] {
    macro_rules! calls {
        ($($call:expr;)*) => { [$(Box::pin(async move { drop($call.await); })),*] };
    }
    let About { stored, moved, new } = about;
    calls! {
        store.load(stored.id);
        store.save(new);
        store.save(stored);
        store.touch(stored.id, 1);
        store.rotate(stored.id, moved, Age::Keep);
        store.rotate(stored.id, moved, Age::Restart);
        store.expire(stored.id);
        store.list("ann");
        store.expire_owner("ann", None);
        store.sweep(NonZeroU32::MIN);
        store.stats();
        store.ping();
        store.migrate();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_dropped_after_every_poll_harm_nobody() {
    let (builder, name) = named(&server());
    let store = migrated(builder.pool_size(POOL)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut bystanders = JoinSet::new();
    for _ in 0..4 {
        bystanders.spawn(keep_asking(store.clone(), Arc::clone(&stop)));
    }
    let (mut drops, mut open_txns) = (0, 0);
    for call in 0..calls(&store, &About::new(&store).await).len() {
        for polls in 1..=100 {
            let about = About::new(&store).await;
            let call = calls(&store, &about).into_iter().nth(call).unwrap();
            if !dropped_after(polls, call).await {
                break;
            }
            drops += 1;
        }
        let idle = "and state like 'idle in transaction%'";
        open_txns += connections(&name, idle).await;
    }
    stop.store(true, Relaxed);
    let (mut invisible, mut foreign) = (0, 0);
    for counts in bystanders.join_all().await {
        invisible += counts[0];
        foreign += counts[1];
    }
    let lost = POOL - usable(&store, &name).await;
    println!(
        "drops={drops} open_txns={open_txns} lost_permits={lost} acked_invisible={invisible} \
         foreign_answers={foreign}"
    );
    assert!(drops >= 13, "each call was dropped at least once");
    assert_eq!((open_txns, lost, invisible, foreign), (0, 0, 0, 0));
}

/// Whether it has made its tables and index or nothing, a dropped migration leaves no transaction
/// open, and can be run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_migration_is_whole_or_nothing() {
    let (mut drops, mut made, mut open_txns) = (0, 0, 0);
    for polls in [1, 2, 3, 5, 10, 30, 100, 300, 1_000] {
        let (builder, name) = named(&server());
        let store = builder.connect().await.unwrap();
        drops += u32::from(dropped_after(polls, store.migrate()).await);
        // What has begun comes to its end.
        while connections(&name, "and state = 'active'").await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        open_txns += connections(&name, "and state like 'idle in transaction%'").await;
        let table = store.table();
        let count = format!(
            "select count(to_regclass(name)) from unnest(array['{table}', '{}_version']) name",
            table.to_string().replace('"', "")
        );
        let tables = number(&count).await;
        assert!(tables == 0 || tables == 2, "{tables} of 2 tables");
        assert_eq!(store.is_migrated().await.unwrap(), tables == 2);
        made += tables / 2;
        store.migrate().await.unwrap();
        stored(&store, record()).await;
    }
    println!("drops={drops} made={made} open_txns={open_txns}");
    assert!(drops > 0);
    assert_eq!(open_txns, 0);
}

/// Saves and loads a session of its own: how many saves were not seen, and how many answers were
/// somebody else's.
async fn keep_asking(store: PostgresStore, stop: Arc<AtomicBool>) -> [u32; 2] {
    let (mut invisible, mut foreign) = (0, 0);
    let mut known = stored(&store, record()).await;
    while !stop.load(Relaxed) {
        known = stored(&store, known).await;
        let found = store.load(known.id).await.unwrap();
        foreign += u32::from(found.as_ref().is_some_and(|found| found.id != known.id));
        invisible += u32::from(found.is_none_or(|found| found.revision != known.revision));
    }
    [invisible, foreign]
}

/// How many connections the store can use at once.
async fn usable(store: &PostgresStore, name: &str) -> usize {
    let mut holder = connection().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("lock table {} in access exclusive mode", store.table());
    transaction.execute(AssertSqlSafe(lock)).await.unwrap();
    let mut reads = JoinSet::new();
    for n in 0..32 {
        let store = store.clone();
        reads.spawn(async move {
            match n % 4 {
                0 => drop(store.load(record().id).await.unwrap()),
                1 => drop(store.list("ann").await.unwrap()),
                2 => drop(store.stats().await.unwrap()),
                _ => store.ping().await.unwrap(),
            }
        });
    }
    let (began, mut most) = (Instant::now(), 0);
    while most < POOL && began.elapsed() < Duration::from_secs(4) {
        let waiting = connections(name, "and wait_event_type = 'Lock'").await;
        most = most.max(usize::try_from(waiting).unwrap());
    }
    transaction.rollback().await.unwrap();
    reads.join_all().await;
    most
}

/// With one connection, one that is lost would be the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_of_one_connection_loses_it_never() {
    let (builder, _) = named(&server());
    let store = migrated(builder.pool_size(1)).await;
    let mut drops = 0;
    for polls in 1..=50 {
        for call in [store.save(&record()), store.save(&record())] {
            drops += u32::from(dropped_after(polls, call).await);
        }
        drops += u32::from(dropped_after(polls, store.stats()).await);
    }
    let mut saves = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        saves.spawn(async move { stored(&store, record()).await });
    }
    let saved = saves.join_all().await.len();
    println!("drops={drops} saved={saved}");
    assert!(drops > 0);
    assert_eq!(saved, 64);
}
