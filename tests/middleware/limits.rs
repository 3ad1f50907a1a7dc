use axum::routing::post;
use cloakroom::{Error, Result, Session, SessionLayer};

use crate::support::{COOKIE, Server, Spy, routes};

/// M16: a value over the limit is refused at once.
#[tokio::test]
async fn a_large_value_is_refused_at_insert() {
    let store = Spy::new();
    let insert = async |session: Session| {
        let fits = session.insert("a", &"x".repeat(64 * 1024 - 2));
        let large = session.insert("a", &"x".repeat(64 * 1024 - 1));
        let key = session.insert(&"k".repeat(257), "1");
        let refused = |result: &Result<()>| matches!(result, Err(Error::TooLarge { .. }));
        session.remove("a");
        format!("{} {} {}", refused(&fits), refused(&large), refused(&key))
    };
    let routes = routes().route("/insert", post(insert));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    assert_eq!(browser.post("/insert").await.body, "false true true");
    assert_eq!(store.calls(), [""; 0]);
}

/// M16: a record over the limit is a 500, and nothing is stored.
#[tokio::test]
async fn a_large_record_is_refused_at_commit() {
    let store = Spy::new();
    let insert = async |session: Session| -> Result<&'static str> {
        for n in 0..5 {
            session.insert(&format!("key-{n}"), &"x".repeat(15_000))?;
        }
        Ok("inserted")
    };
    let routes = routes().route("/insert", post(insert));
    let mut browser = Server::start(routes.clone().layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    let answer = browser.post("/insert").await;
    assert_eq!((answer.status, &*answer.body), (500, ""));
    assert_eq!(answer.header("set-cookie"), None);
    browser.post("/set/a/1").await;
    assert_eq!(browser.post("/insert").await.status, 500);
    assert_eq!(store.record(&browser).await.data.len(), 1);

    let layer = SessionLayer::new(store).record_limit(100_000);
    let mut browser = Server::start(routes.layer(layer)).await.browser();
    assert!(browser.post("/insert").await.cookie(COOKIE).is_some());
}

/// M16: the limit itself is allowed, and not a byte more.
#[tokio::test]
async fn a_record_may_be_as_large_as_its_limit() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post(&format!("/set/a/{}", "x".repeat(2_000))).await;
    let size = store.record(&browser).await.encode().unwrap().len();
    for (limit, status) in [(size - 1, 500), (size, 200)] {
        let layer = SessionLayer::new(store.clone()).record_limit(limit);
        let mut limited = Server::with(layer).await.browser();
        limited.cookies = browser.cookies.clone();
        let path = format!("/set/a/{}", "y".repeat(2_000));
        assert_eq!(limited.post(&path).await.status, status, "{limit}");
    }
}

/// M16: acts check the size too, where a limit has become lower than a session is large.
#[tokio::test]
async fn a_record_over_a_lowered_limit_is_not_rotated() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post(&format!("/set/a/{}", "x".repeat(2_000))).await;
    let lowered = SessionLayer::new(store.clone()).record_limit(1_000);
    let mut later = Server::with(lowered).await.browser();
    later.cookies = browser.cookies.clone();
    for path in ["/rotate", "/sign-in/ann"] {
        assert_eq!(later.post(path).await.status, 500, "{path}");
    }
    assert_eq!(browser.get("/get/a").await.body.len(), 2_000);
}

/// M16: more entries than a record can have are a 500, and nothing is stored.
#[tokio::test]
async fn too_many_entries_are_refused_at_commit() {
    let store = Spy::new();
    let insert = async |session: Session| -> Result<()> {
        (0..1_025).try_for_each(|n| session.insert(&format!("{n}"), &n))
    };
    let routes = routes().route("/insert", post(insert));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    assert_eq!(browser.post("/insert").await.status, 500);
    assert_eq!(store.records().await, 0);
}
