//! Sessions that come from elsewhere, and never come back.

use cloakroom_store_api::{Age, Error, Record, Saved, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::support::{fresh, migrated, node, number, record, stored};

/// How many tables are there whose names begin with this store's.
async fn tables(store: &PostgresStore) -> i64 {
    let (_, table) = store.table().parts();
    let sql = format!("select count(*) from pg_tables where tablename like '{table}%'");
    number(&sql).await
}

#[tokio::test]
async fn an_imported_session_never_comes_back() {
    let store = migrated(fresh()).await;
    let records = [record(), record(), record()];
    let [used, ended, rotated] = records.each_ref().map(|record| record.id);
    assert_eq!(store.count_imported(&[used, ended]).await.unwrap(), 0);
    assert_eq!(store.import(&records).await.unwrap(), 3);

    let found = store.load(used).await.unwrap().unwrap();
    stored(&store, found).await;
    assert!(store.expire(ended).await.unwrap());
    let found = store.load(rotated).await.unwrap().unwrap();
    let new = Record {
        id: record().id,
        ..found
    };
    let moved = store.rotate(rotated, &new, Age::Keep).await.unwrap();
    assert!(matches!(moved, Saved::Stored(_)));

    assert_eq!(store.count_imported(&[used, ended]).await.unwrap(), 2);
    assert_eq!(store.import(&records).await.unwrap(), 0);
    assert_eq!(store.load(used).await.unwrap().unwrap().revision, 2);
    for id in [ended, rotated] {
        assert_eq!(store.load(id).await.unwrap(), None);
    }
    store.drop_tables().await.unwrap();
}

#[tokio::test]
async fn an_id_in_use_is_not_imported() {
    let store = migrated(fresh()).await;
    let live = stored(&store, record()).await;
    let live = stored(&store, live).await;
    let other = Record::new(live.id, live.lifetime);
    assert_eq!(store.import(&[other]).await.unwrap(), 0);
    assert_eq!(store.load(live.id).await.unwrap().unwrap().revision, 2);
    store.drop_tables().await.unwrap();
}

#[tokio::test]
async fn a_record_of_a_store_is_not_imported() {
    let store = migrated(fresh()).await;
    let saved = stored(&store, record()).await;
    store.expire(saved.id).await.unwrap();
    let refused = store.import(&[record(), saved]).await;
    assert!(matches!(refused, Err(Error::Backend(_))), "{refused:?}");
    assert_eq!(store.stats().await.unwrap().browser, 0);
    store.drop_tables().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn imports_at_once_share_the_sessions() {
    let store = migrated(fresh()).await;
    let records: Vec<_> = (0..500).map(|_| record()).collect();
    let mut imports = JoinSet::new();
    for _ in 0..6 {
        let (store, mut records) = (node(&store).await, records.clone());
        imports.spawn(async move {
            fastrand::shuffle(&mut records);
            let mut imported = 0;
            for records in records.chunks(50) {
                imported += store.import(records).await.unwrap();
            }
            imported
        });
    }
    let imported: u64 = imports.join_all().await.iter().sum();
    println!("sessions=500 imports=6 imported={imported}");
    assert_eq!(imported, 500);
    assert_eq!(store.stats().await.unwrap().browser, 500);
    store.drop_tables().await.unwrap();
}

#[tokio::test]
async fn dropped_tables_take_the_imported_ids_along() {
    let store = migrated(fresh()).await;
    store.import(&[record()]).await.unwrap();
    assert_eq!(tables(&store).await, 3);
    store.drop_tables().await.unwrap();
    assert_eq!(tables(&store).await, 0);
}
