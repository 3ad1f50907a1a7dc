use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
    routing::post,
};
use cloakroom::{Error, MemoryStore, Outage, Result, Session, SessionLayer};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::support::{COOKIE, Log, Server, Spy, routes};

/// M15: a store that cannot be asked is a 503 by default, and nobody is signed out by it.
#[tokio::test]
async fn an_outage_is_a_503() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/sign-in/ann").await;
    store.fail(true);
    for answer in [browser.get("/whoami").await, browser.post("/end").await] {
        assert_eq!((answer.status, &*answer.body), (503, ""));
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("vary"), Some("Cookie"));
    }
    assert_eq!(browser.get("/plain").await.status, 200);
    store.fail(false);
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
}

/// M15: by choice the request goes on with an empty session that says so and refuses changes.
#[tokio::test]
async fn a_degraded_session_reads_and_refuses() {
    let store = Spy::new();
    let try_all = async |session: Session| {
        let unavailable = |result: Result<()>| match result {
            Err(error @ Error::Store(_)) => error.status() == StatusCode::SERVICE_UNAVAILABLE,
            _ => false,
        };
        let refused = [
            session.insert("a", "1"),
            session.update("a", |_: Option<u32>| 1).map(drop),
            session.take::<String>("a").map(drop),
            session.sign_in("bob").await,
            session.rotate().await,
            session.end().await,
            session.end_others().await.map(drop),
            session.sessions().await.map(drop),
            session.reload().await.map(drop),
        ];
        let refused = refused.into_iter().map(unavailable);
        format!(
            "{} {:?} {}",
            session.is_degraded(),
            session.get::<String>("a").unwrap(),
            refused.filter(|refused| *refused).count()
        )
    };
    let routes = routes().route("/all", post(try_all));
    let layer = SessionLayer::new(store.clone()).on_outage(Outage::Degrade);
    let mut browser = Server::start(routes.layer(layer)).await.browser();
    browser.post("/sign-in/ann").await;
    browser.post("/set/a/1").await;
    let before = store.record(&browser).await;
    store.fail(true);
    let answer = browser.post("/all").await;
    assert_eq!((answer.status, &*answer.body), (200, "true None 9"));
    assert_eq!(answer.header("set-cookie"), None);
    for path in ["/remove/a", "/clear", "/remember/true", "/end", "/set/a/2"] {
        let answer = browser.post(path).await;
        assert_eq!((answer.status, &*answer.body), (503, ""), "{path}");
    }
    store.fail(false);
    assert_eq!(store.record(&browser).await, before);
    assert_eq!(browser.get("/get/a").await.body, "1");
}

/// M15: an end never reports success that it has not had.
#[tokio::test]
async fn a_failed_end_is_an_error() {
    let store = Spy::new();
    let end = {
        let store = store.clone();
        async move |session: Session| {
            store.fail(true);
            let ended = session.end().await;
            store.fail(false);
            ended
        }
    };
    let routes = routes().route("/fail", post(end));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/sign-in/ann").await;
    let answer = browser.post("/fail").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
}

/// M15: a session whose record cannot be read is no session, and can be begun anew.
#[tokio::test]
async fn an_unreadable_record_is_no_session() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.spoil(true);
    let before = browser.token().to_owned();
    let answer = browser.get("/get/a").await;
    assert_eq!((answer.status, &*answer.body), (200, ""));
    assert_eq!(answer.header("set-cookie"), None);
    assert!(browser.post("/set/a/2").await.cookie(COOKIE).is_some());
    assert_ne!(browser.token(), before);
    store.spoil(false);
    assert_eq!(browser.get("/get/a").await.body, "2");
    assert_eq!(store.records().await, 2);
}

/// M15: a record that becomes unreadable is no session any more, and is on record once.
#[tokio::test]
async fn a_record_that_becomes_unreadable_is_no_session_any_more() {
    let log = Log::default();
    let _guard = log.subscribe("warn");
    let store = Spy::new();
    let act = {
        let store = store.clone();
        async move |session: Session| -> Result<String> {
            store.spoil(true);
            Ok(session.reload().await?.to_string())
        }
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    assert_eq!(browser.post("/act").await.body, "false");
    let text = log.text();
    assert_eq!(text.matches("unreadable session").count(), 1, "{text}");
}

/// A value of another type is that value's error, and no other's.
#[tokio::test]
async fn a_value_of_another_type_is_an_error_of_its_own() {
    let store = MemoryStore::new();
    let read = async |session: Session| {
        let wrong = session.get::<u32>("a");
        let taken = session.take::<u32>("a");
        let updated = session.update("a", |n: Option<u32>| n.unwrap_or(0));
        let right = session.get::<String>("a");
        let errors = [wrong.map(drop), taken.map(drop), updated.map(drop)];
        let named = errors
            .iter()
            .filter(|error| matches!(error, Err(Error::Value { key, .. }) if key == "a"));
        format!("{} {}", named.count(), right.unwrap().unwrap())
    };
    let routes = routes().route("/read", post(read));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store)))
        .await
        .browser();
    browser.post("/set/a/text").await;
    assert_eq!(browser.post("/read").await.body, "3 text");
}

/// A store whose calls never end holds up a response for 15 seconds, and no longer; then it is a
/// 503 that stores nothing.
#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_holds_up_no_response() {
    let store = Spy::new();
    let app = routes().layer(SessionLayer::new(store.clone()));
    store.slow(Duration::MAX);
    let began = Instant::now();
    let request = Request::post("/set/a/1").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers().get("set-cookie"), None);
    assert_eq!(began.elapsed().as_secs(), 15);
    assert_eq!(store.records().await, 0);
}
