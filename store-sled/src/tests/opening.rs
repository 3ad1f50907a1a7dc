//! Opening and closing a folder.

use super::*;

#[tokio::test]
async fn sessions_and_indexes_survive_reopening_at_once() {
    let folder = folder();
    let mut records: Vec<Record> = Vec::new();
    for round in 0..50 {
        let store = reopened(&folder);
        for record in &records {
            let found = store.load(record.id).await.unwrap().unwrap();
            assert_eq!((found.revision, &found.data), (1, &record.data));
        }
        records.push(stored(&store, new_record(Some("zoë"))).await);
        let listed = store.list("zoë").await.unwrap();
        assert_eq!(listed.len(), round + 1);
        assert_eq!(store.stats().await.unwrap().browser, round as u64 + 1);
    }
    let store = reopened(&folder);
    assert_eq!(store.expire_owner("zoë", None).await.unwrap(), 50);
    drop(store);
    let store = reopened(&folder);
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
async fn a_folder_in_use_is_refused_with_what_to_do() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let error = failure(SledStore::open(folder.path()));
    assert!(matches!(error, Error::Unavailable(_)));
    assert_eq!(
        error.source().unwrap().to_string(),
        format!(
            "the session folder `{}` is in use by another process, \
         the only one that can sweep it",
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
        let error = failure(open_free(&SledStore::builder(&path)));
        assert!(matches!(error, Error::Backend(_)), "{error:?}");
        let chain = chain(&error);
        println!("{chain}");
        assert!(chain.contains(path.to_str().unwrap()), "{chain}");
        assert!(chain.contains(why), "{chain}");
    }
}

#[tokio::test]
async fn a_folder_larger_than_the_cache_is_read_beside_the_runtime() {
    let folder = folder();
    let builder = SledStore::builder(folder.path()).cache_capacity(0);
    let store = builder.open().unwrap();
    let record = stored(&store, new_record(None)).await;
    assert!(!store.0.shared.warmth.needs_no_disk());
    assert!(store.0.shared.recall(record.id).unwrap().is_none());
    assert!(is_live(&store, record.id).await);
    drop(store);

    let store = reopened(&folder);
    let asked = Instant::now();
    while !store.0.shared.warmth.needs_no_disk() && asked.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(store.0.shared.warmth.needs_no_disk());
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
    let store = reopened(&folder);
    assert_eq!(
        store.load(record.id).await.unwrap().unwrap().lifetime,
        lifetime
    );
    assert_eq!(store.stats().await.unwrap().persistent, 1);
}
