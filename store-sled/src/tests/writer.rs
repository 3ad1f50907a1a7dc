//! The one writer: what shares a batch, and what ends it.

use super::*;

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
