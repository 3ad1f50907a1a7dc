//! Stores chosen by URL. Needs a server: `scripts/with-servers`.

use std::{env, error::Error};

use cloakroom::{
    ConnectError, PostgresStore, connect,
    store::{Lifetime, Record, Saved, SessionToken},
};

/// One session's life through a store that only its URL has chosen.
async fn keeps_a_session(url: &str) {
    let store = connect(url).await.unwrap();
    store.ping().await.unwrap();
    let record = Record::new(SessionToken::generate().unwrap().id(), Lifetime::BROWSER);
    let saved = store.save(&record).await.unwrap();
    assert!(matches!(saved, Saved::Stored(_)), "{saved:?}");
    assert!(store.load(record.id).await.unwrap().is_some());
    assert!(store.expire(record.id).await.unwrap());
    assert_eq!(store.load(record.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_url_chooses_the_store() {
    let folder = tempfile::tempdir().unwrap();
    keeps_a_session("memory:").await;
    keeps_a_session(&format!("sled:{}", folder.path().display())).await;
    let url = env::var("CLOAKROOM_TEST_POSTGRES_URL")
        .expect("CLOAKROOM_TEST_POSTGRES_URL names a server; scripts/with-servers sets it");
    let store = PostgresStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    keeps_a_session(&url).await;
    for kind in ["", "UNIX_", "CLUSTER_", "SENTINEL_"] {
        let variable = format!("CLOAKROOM_TEST_REDIS_{kind}URL");
        let url = env::var(&variable)
            .unwrap_or_else(|_| panic!("{variable} names a server; scripts/with-servers sets it"));
        keeps_a_session(&url).await;
    }
}

#[tokio::test]
async fn an_error_says_what_to_do_and_no_password() {
    for url in [
        "",
        "nonsense",
        "hunter2:rest",
        "memory:hunter2",
        "sled:",
        "postgres://user:hunter2@127.0.0.1:1/none",
        "postgres://user:hunter2@127.0.0.1:notaport/none",
        "postgres://hunter2",
        "redis://user:hunter2@127.0.0.1:1",
        "redis://user:hunter2@127.0.0.1:notaport",
        "redis://user:hunter2@127.0.0.1/hunter2",
        "unix:///hunter2?pass=hunter2",
        "redis+sentinel://user:hunter2@127.0.0.1:1/main",
        "redis+cluster://user:hunter2@127.0.0.1:1",
    ] {
        let error = connect(url).await.map(drop).unwrap_err();
        let mut text = format!("{error} {error:?}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(" {error} {error:?}");
            cause = error.source();
        }
        let is_host = url == "postgres://hunter2";
        assert!(is_host || !text.contains("hunter2"), "{url}: {text}");
    }
    let unknown = connect("mysql://localhost").await.map(drop).unwrap_err();
    assert!(matches!(unknown, ConnectError::UnknownScheme));
    assert!(unknown.to_string().contains("postgres://"));
}
