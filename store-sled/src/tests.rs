//! What is only this store's own.

use std::{
    collections::BTreeMap,
    error::Error as _,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use cloakroom_store_api::{
    Age, Data, Error, Lifetime, ManualClock, Persistence, Record, Result, Saved, SessionId,
    SessionStore, SessionToken, Timestamp,
};
use tempfile::TempDir;

use crate::{Durability, SledStore};

mod conformance;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn new_record(owner: Option<&str>) -> Record {
    let data = Data::new(&BTreeMap::from([("cart", "[1,2,3]")])).unwrap();
    Record {
        owner: owner.map(|owner| owner.parse().unwrap()),
        data,
        ..Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER)
    }
}

async fn stored(store: &SledStore, record: Record) -> Record {
    match store.save(&record).await.unwrap() {
        Saved::Stored(stamp) => record.stored(stamp),
        other => panic!("{other:?}"),
    }
}

fn at(folder: &TempDir, clock: &ManualClock) -> SledStore {
    SledStore::builder(folder.path())
        .clock(Arc::new(clock.clone()))
        .open()
        .unwrap()
}

/// Flips a bit in what the record's checksum protects.
fn spoil(store: &SledStore, id: SessionId) {
    let records = &store.0.shared.trees.records;
    let mut row = records.get(id.as_bytes()).unwrap().unwrap().to_vec();
    *row.last_mut().unwrap() ^= 1;
    records.insert(id.as_bytes(), row).unwrap();
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Replaces a row by what has not even a header.
fn wreck(store: &SledStore, id: SessionId) {
    let records = &store.0.shared.trees.records;
    records.insert(id.as_bytes(), b"wreck").unwrap();
}

fn failure(opened: Result<SledStore>) -> Error {
    opened.expect_err("the folder cannot be opened")
}

fn is_corrupt<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::Corrupt { .. }))
}

async fn is_live(store: &SledStore, id: SessionId) -> bool {
    store.load(id).await.unwrap().is_some()
}

/// No tree holds anything of a session.
fn assert_empty(store: &SledStore) {
    let trees = &store.0.shared.trees;
    for tree in [
        &trees.records,
        &trees.deadlines,
        &trees.expiry,
        &trees.owners,
    ] {
        assert_eq!(tree.len(), 0, "{tree:?}");
    }
}

const MANY: NonZeroU32 = NonZeroU32::MAX;

#[tokio::test]
async fn sessions_and_indexes_survive_reopening_at_once() {
    let folder = folder();
    let mut records: Vec<Record> = Vec::new();
    for round in 0..50 {
        let store = SledStore::open(folder.path()).unwrap();
        for record in &records {
            let found = store.load(record.id).await.unwrap().unwrap();
            assert_eq!((found.revision, &found.data), (1, &record.data));
        }
        records.push(stored(&store, new_record(Some("zoë"))).await);
        let listed = store.list("zoë").await.unwrap();
        assert_eq!(listed.len(), round + 1);
        assert_eq!(store.stats().await.unwrap().browser, round as u64 + 1);
    }
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.expire_owner("zoë", None).await.unwrap(), 50);
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.list("zoë").await.unwrap(), []);
    assert_empty(&store);
}

#[tokio::test]
async fn a_touch_survives_reopening() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let record = stored(&store, new_record(None)).await;
    clock.advance(Duration::from_mins(20));
    let touched = store.touch(record.id, 1).await.unwrap().unwrap();
    drop(store);
    clock.advance(Duration::from_mins(20));
    let store = at(&folder, &clock);
    let found = store.load(record.id).await.unwrap().unwrap();
    assert_eq!(found.stamp.unwrap().expires_at, touched.expires_at);
    clock.advance(Duration::from_mins(10));
    assert!(!is_live(&store, record.id).await);
    assert_eq!(store.sweep(MANY).await.unwrap().removed, 1);
    assert_empty(&store);
}

#[tokio::test]
async fn a_clock_set_back_across_a_restart_revives_nothing() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let begin = Timestamp::from_millis(1_577_836_800_000);
    let record = stored(&store, new_record(None)).await;
    clock.advance(Duration::from_mins(30));
    assert!(!is_live(&store, record.id).await);

    // As after `kill -9`: what closing would store is not there.
    store
        .0
        .shared
        .noted::<()>(Err(sled::Error::Unsupported("killed".into())))
        .unwrap_err();
    drop(store);
    let earlier = ManualClock::new();
    earlier.set_wall(begin);
    let store = at(&folder, &earlier);
    assert!(!is_live(&store, record.id).await);
    assert_eq!(store.save(&record).await.unwrap(), Saved::Gone);
}

#[tokio::test]
async fn a_clock_set_forward_and_corrected_freezes_nothing() {
    let (folder, clock) = (folder(), ManualClock::new());
    let right = Timestamp::from_millis(1_577_836_800_000);
    clock.set_wall(right + Duration::from_hours(24));
    let store = at(&folder, &clock);
    let record = stored(&store, new_record(None)).await;
    drop(store);

    clock.set_wall(right);
    let store = at(&folder, &clock);
    clock.advance(Duration::from_mins(29));
    assert!(is_live(&store, record.id).await);
    clock.advance(Duration::from_mins(1));
    assert!(!is_live(&store, record.id).await);
}

#[tokio::test]
async fn a_folder_in_use_is_refused_with_what_to_do() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let error = failure(SledStore::open(folder.path()));
    assert!(matches!(error, Error::Unavailable(_)));
    assert_eq!(
        error.source().unwrap().to_string(),
        format!(
            "the session folder `{}` is in use by another process, and sweeping it has to be \
             done in that application",
            folder.path().display()
        )
    );
    store.ping().await.unwrap();
}

#[test]
fn what_cannot_be_opened_is_an_error_that_names_the_folder() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let below_a_file = file.join("sessions");

    let foreign = folder.path().join("foreign");
    let other = sled::open(&foreign).unwrap();
    other.insert("key", "value").unwrap();
    drop(other);

    let newer = folder.path().join("newer");
    drop(SledStore::open(&newer).unwrap());
    while let Err(error) = sled::open(&newer).and_then(|db| {
        db.open_tree("meta")?.insert("format", &[2])?;
        db.flush()
    }) {
        assert!(error.to_string().contains("lock"), "{error}");
        std::thread::sleep(Duration::from_millis(1));
    }

    let damaged = folder.path().join("damaged");
    drop(SledStore::open(&damaged).unwrap());
    std::fs::write(damaged.join("conf"), "no configuration at all").unwrap();

    let overwritten = folder.path().join("overwritten");
    drop(SledStore::open(&overwritten).unwrap());
    std::fs::write(overwritten.join("db"), [7; 4096]).unwrap();

    for (path, why) in [
        (below_a_file, "directory"),
        (foreign, "the database in it is not of this store"),
        (newer, "its format [2] is unknown"),
        (damaged, "corrupted data"),
        (overwritten, "the database in it is damaged"),
    ] {
        let error = failure(SledStore::open(&path));
        assert!(matches!(error, Error::Backend(_)), "{error:?}");
        let chain = chain(&error);
        println!("{chain}");
        assert!(chain.contains(path.to_str().unwrap()), "{chain}");
        assert!(chain.contains(why), "{chain}");
    }
}

#[tokio::test]
async fn a_row_without_a_header_hurts_nobody_else() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let whole = stored(&store, new_record(Some("zoë"))).await;
    let mut wrecked = Vec::new();
    for _ in 0..4 {
        let record = stored(&store, new_record(Some("zoë"))).await;
        wreck(&store, record.id);
        wrecked.push(record);
    }
    let [loaded, ended, swept, owned] = &wrecked[..] else {
        unreachable!()
    };
    assert!(is_corrupt(&store.load(loaded.id).await));
    assert!(is_corrupt(&store.save(loaded).await));
    assert!(is_corrupt(&store.touch(loaded.id, 1).await));
    let moved = Record {
        id: swept.id,
        ..new_record(None)
    };
    assert!(is_corrupt(
        &store.rotate(loaded.id, &moved, Age::Keep).await
    ));

    assert!(store.expire(ended.id).await.unwrap());
    assert!(!store.expire(ended.id).await.unwrap());
    let again = stored(
        &store,
        Record {
            id: ended.id,
            ..new_record(Some("zoë"))
        },
    )
    .await;
    assert_eq!(store.list("zoë").await.unwrap().len(), 2);
    assert_eq!(store.stats().await.unwrap().expired, 0);

    let spared = stored(&store, new_record(None)).await;
    wreck(&store, owned.id);
    assert_eq!(
        store.expire_owner("zoë", Some(swept.id)).await.unwrap(),
        5 - 1
    );
    assert!(!is_live(&store, whole.id).await && !is_live(&store, again.id).await);
    assert!(is_live(&store, spared.id).await);

    clock.advance(Duration::from_hours(1));
    assert_eq!(store.sweep(MANY).await.unwrap().removed, 2);
    assert_empty(&store);
}

#[tokio::test]
async fn a_dead_session_whose_data_is_damaged_is_swept() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let record = stored(&store, new_record(Some("zoë"))).await;
    spoil(&store, record.id);
    assert!(is_corrupt(&store.load(record.id).await));
    clock.advance(Duration::from_mins(30));
    assert!(!is_live(&store, record.id).await);
    assert_eq!(store.sweep(MANY).await.unwrap().removed, 1);
    assert_empty(&store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_wait_for_each_other_and_for_nothing_else() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut record = new_record(Some(&format!("user-{}", caller % 8)));
                for revision in 1..=20 {
                    record = stored(&store, record).await;
                    assert_eq!(record.revision, revision);
                    assert!(is_live(&store, record.id).await);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    for owner in 0..8 {
        let listed = store.list(&format!("user-{owner}")).await.unwrap();
        assert!(listed.iter().all(|record| record.revision == 20));
        assert_eq!(listed.len(), 8);
    }
}

#[tokio::test]
async fn records_of_the_largest_size_share_batches() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let text = format!("\"{}\"", "x".repeat(1024 * 1024 - 100));
    let saves: Vec<_> = (0..8)
        .map(|_| {
            let record = Record {
                data: Data::new(&BTreeMap::from([("big", &*text)])).unwrap(),
                ..new_record(None)
            };
            let store = store.clone();
            tokio::spawn(async move { stored(&store, record).await })
        })
        .collect();
    let mut records = Vec::new();
    for save in saves {
        records.push(save.await.unwrap());
    }
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    for record in records {
        assert_eq!(
            store.load(record.id).await.unwrap().unwrap().data,
            record.data
        );
    }
}

#[tokio::test]
async fn a_call_that_waited_past_its_deadline_fails_and_is_not_done() {
    let folder = folder();
    let store = SledStore::builder(folder.path())
        .deadline(Duration::ZERO)
        .open()
        .unwrap();
    let record = new_record(None);
    let answer = store.save(&record).await;
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert!(!is_live(&store, record.id).await);
}

#[tokio::test]
async fn a_dead_writer_is_an_error_and_not_a_hang() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let record = stored(&store, new_record(None)).await;
    let answer: Result<()> = store.ask(|_| panic!("on purpose")).await;
    assert!(matches!(answer, Err(Error::Backend(_))), "{answer:?}");
    let answer = store.save(&record).await;
    assert!(matches!(answer, Err(Error::Backend(_))), "{answer:?}");
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert!(is_live(&store, record.id).await);
}

#[tokio::test]
async fn nothing_is_answered_after_a_failed_write() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let record = stored(&store, new_record(None)).await;
    let failed = sled::Error::Unsupported("on purpose".into());
    store.0.shared.noted::<()>(Err(failed)).unwrap_err();
    for answer in [
        store.load(record.id).await.map(drop),
        store.save(&record).await.map(drop),
        store.expire(record.id).await.map(drop),
        store.stats().await.map(drop),
        store.ping().await,
    ] {
        let error = answer.unwrap_err();
        assert!(
            chain(&error).ends_with("Unsupported: on purpose"),
            "{}",
            chain(&error)
        );
    }
}

#[tokio::test]
async fn a_folder_larger_than_the_cache_is_read_beside_the_runtime() {
    let folder = folder();
    let builder = SledStore::builder(folder.path()).cache_capacity(0);
    let store = builder.open().unwrap();
    assert!(!store.0.shared.reads_need_no_disk());
    let record = stored(&store, new_record(None)).await;
    assert!(is_live(&store, record.id).await);
    drop(store);

    let store = SledStore::open(folder.path()).unwrap();
    let asked = Instant::now();
    while !store.0.shared.reads_need_no_disk() && asked.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(store.0.shared.reads_need_no_disk());
    assert!(is_live(&store, record.id).await);
}

#[tokio::test]
async fn what_is_flushed_now_and_then_is_flushed_on_closing() {
    let folder = folder();
    let builder = SledStore::builder(folder.path());
    let store = builder
        .durability(Durability::Every(Duration::from_hours(1)))
        .open()
        .unwrap();
    let lifetime = Lifetime::new(Persistence::Persistent, Duration::MAX, Duration::MAX);
    let record = stored(
        &store,
        Record {
            lifetime,
            ..new_record(None)
        },
    )
    .await;
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(
        store.load(record.id).await.unwrap().unwrap().lifetime,
        lifetime
    );
    assert_eq!(store.stats().await.unwrap().persistent, 1);
}
