use std::{collections::BTreeSet, time::Duration};

use axum::routing::get;
use cloakroom::{Session, SessionLayer};
use metrics_util::debugging::DebuggingRecorder;

use crate::support::{Log, MINUTE, Server, Spy, routes};

/// M17: every kind of store call is counted and timed, and logged by session id; no token is
/// in any line, at the most talkative level.
#[tokio::test]
async fn calls_are_counted_and_logged_without_tokens() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder
        .install()
        .expect("this test has a process of its own under nextest");
    let log = Log::default();
    tracing::subscriber::set_global_default(log.subscriber("trace")).unwrap();

    let store = Spy::new();
    let late = async |session: Session| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            session.remove("a");
        });
    };
    let routes = routes().route("/late", get(late));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    let mut tokens = BTreeSet::new();
    for path in [
        "/set/a/1",
        "/set/a/2",
        "/rotate",
        "/sign-in/ann",
        "/end-others",
    ] {
        browser.post(path).await;
        tokens.insert(browser.token().to_owned());
    }
    store.conflict(1);
    browser.post("/set/a/3").await;
    store.clock.advance(5 * MINUTE);
    browser.get("/get/a").await;
    let id = store.record(&browser).await.id.to_string();
    browser.get("/late").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.fail(true);
    browser.get("/get/a").await;
    store.fail(false);
    store.spoil(true);
    browser.get("/get/a").await;
    store.spoil(false);
    let gone = browser.clone();
    browser.post("/end").await;
    gone.clone().get("/get/a").await;

    let mut counted = BTreeSet::new();
    for (key, _, _, _) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> = key
            .key()
            .labels()
            .map(|label| label.value().to_owned())
            .collect();
        counted.insert(format!("{} {}", key.key().name(), labels.join(" ")));
    }
    for expected in [
        "cloakroom_store_total create stored",
        "cloakroom_store_total save stored",
        "cloakroom_store_total save conflict",
        "cloakroom_store_total rotate stored",
        "cloakroom_store_total touch stored",
        "cloakroom_store_total load hit",
        "cloakroom_store_total load miss",
        "cloakroom_store_total load error",
        "cloakroom_store_total end done",
        "cloakroom_store_total end_others done",
        "cloakroom_store_seconds load",
        "cloakroom_changes_dropped_total ",
        "cloakroom_corrupt_total ",
    ] {
        assert!(counted.contains(expected), "{expected:?} in {counted:#?}");
    }
    let log = log.text();
    assert!(log.contains(&id), "events name sessions");
    assert!(log.contains("ERROR") && log.contains("the test switched it off"));
    assert!(log.contains("WARN") && log.contains("uncommitted session changes dropped"));
    let found = tokens
        .iter()
        .filter(|token| log.contains(token.as_str()))
        .count();
    println!(
        "log_bytes={} tokens={} found={found}",
        log.len(),
        tokens.len()
    );
    assert_eq!(found, 0);
}
