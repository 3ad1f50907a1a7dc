//! A disk without room.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink};

use cloakroom_store_api::{Data, Error, Record, SessionStore};
use cloakroom_test_support::Postgres;

use crate::{
    errors::words,
    support::{migrated, named, record, stored},
};

/// More than PostgreSQL keeps in a row: it goes to a file of its own.
fn large() -> Data {
    let text: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(20_000)
        .collect();
    let json = format!("\"{text}\"");
    Data::new(&BTreeMap::from([("text", &*json)])).unwrap()
}

/// The file for large values is `/dev/full`, where the kernel has no room for anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_refuses_what_needs_room_and_nothing_else() {
    let server = Postgres::start();
    let (builder, _) = named(&server.url());
    let store = migrated(builder.clone()).await;
    let table = store.table().clone();
    let known = stored(&store, record()).await;
    let file = server.data().join(server.answer(&format!(
        "select pg_relation_filepath(reltoastrelid) from pg_class where oid = '{table}'::regclass"
    )));
    fs::remove_file(&file).unwrap();
    symlink("/dev/full", &file).unwrap();

    // A server's process keeps its files open: this store's have not opened it yet.
    let store = builder.connect().await.unwrap();
    let large = Record {
        data: large(),
        ..known.clone()
    };
    let error = store.save(&large).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let words = words(&error);
    assert!(words.contains("No space left on device"), "{words}");
    assert!(words.contains("53100"), "{words}");
    let found = store.load(known.id).await.unwrap().unwrap();
    assert_eq!(found.revision, known.revision, "nothing was stored");
    let known = stored(&store, known).await;
    assert!(store.expire(known.id).await.unwrap());
}
