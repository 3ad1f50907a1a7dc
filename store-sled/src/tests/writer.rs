//! The one writer: what shares a batch, and what ends it.

use super::*;
use crate::{batch::Batch, row::Draft};

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

/// A new record with a note of this length.
fn noted(length: usize) -> Record {
    let note = format!("\"{}\"", "x".repeat(length));
    Record {
        data: Data::new(&BTreeMap::from([("note", &*note)])).unwrap(),
        ..new_record(None)
    }
}

#[tokio::test]
async fn a_batch_knows_how_many_bytes_it_has() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let mut batch = Batch::new(&store.0.shared);
    let mut least = 0;
    for length in [100, 2_000] {
        batch.next();
        let saved = batch.save(Draft::new(&noted(length)).unwrap()).unwrap();
        assert!(matches!(saved, Saved::Stored(_)));
        least += length;
        let size = batch.size();
        assert!((least..least + 400).contains(&size), "{size}");
    }
}

/// Loads that may have to read the disk are not done on the caller's thread.
#[tokio::test]
async fn more_sessions_than_fit_the_cache_need_the_disk() {
    let folder = folder();
    let builder = SledStore::builder(folder.path()).cache_capacity(8 * 1024 * 1024);
    let store = builder.open().unwrap();
    let warmth = &store.0.shared.warmth;
    while !warmth.needs_no_disk() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut sessions = 0;
    while warmth.needs_no_disk() {
        stored(&store, noted(300)).await;
        sessions += 1;
    }
    // They count as 2.5 times their size.
    assert!((500..3_000).contains(&sessions), "{sessions}");
}

#[tokio::test]
async fn one_session_whose_page_may_not_fit_the_cache_needs_the_disk() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let warmth = &store.0.shared.warmth;
    while !warmth.needs_no_disk() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stored(&store, noted(10_000)).await;
    assert!(warmth.needs_no_disk());
    stored(&store, noted(20_000)).await;
    assert!(!warmth.needs_no_disk());
}

/// What is saved again and again leaves garbage on the disk, and takes no more of the cache.
#[tokio::test]
async fn saves_of_the_same_sessions_need_no_disk() {
    let folder = folder();
    let builder = SledStore::builder(folder.path()).cache_capacity(8 * 1024 * 1024);
    let store = builder.open().unwrap();
    let warmth = &store.0.shared.warmth;
    while !warmth.needs_no_disk() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut record = stored(&store, noted(300)).await;
    for _ in 0..10_000 {
        record = stored(&store, record).await;
    }
    assert!(warmth.needs_no_disk());
}

#[tokio::test]
async fn records_of_the_largest_size_share_batches() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let saves: Vec<_> = (0..8)
        .map(|_| {
            let record = noted(1024 * 1024 - 100);
            let store = store.clone();
            tokio::spawn(async move { stored(&store, record).await })
        })
        .collect();
    let mut records = Vec::new();
    for save in saves {
        records.push(save.await.unwrap());
    }
    drop(store);
    let store = reopened(&folder);
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
    let store = reopened(&folder);
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
    let store = reopened(&folder);
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
