//! What is said to who listens.

use std::time::Duration;

use axum::{body::Body, http::Request, routing::post};
use cloakroom::{Result, Session, SessionLayer};
use tower::ServiceExt;
use tracing::Instrument;

use crate::support::{Gate, Log, Server, Spy, routes};

/// M17: values of the session are in no log.
#[tokio::test]
async fn a_value_is_in_no_log() {
    let log = Log::default();
    let _guard = log.subscribe("info");
    let store = Spy::new();
    let gate = Gate::default();
    let slow = {
        let gate = gate.clone();
        async move |session: Session| -> Result<()> {
            session.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
            gate.pass().await;
            Ok(())
        }
    };
    let routes = routes().route("/slow", post(slow));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/first/1").await;
    let mut other = browser.clone();
    let slow = tokio::spawn(async move { other.post("/slow").await.status });
    gate.reached().await;
    browser.post("/set/n/my-secret-password").await;
    gate.open();
    println!("status={}", slow.await.unwrap());
    let text = log.text();
    assert!(!text.contains("my-secret-password"), "{text}");
}

/// M17: what goes on in a task of its own, an act and a save after the handler, is logged in the
/// request's span.
#[tokio::test]
async fn calls_of_tasks_are_in_the_requests_span() {
    let log = Log::default();
    let _guard = log.subscribe("debug");
    let store = Spy::new();
    let app = routes().layer(SessionLayer::new(store.clone()));
    // Slow enough for tasks.
    store.slow(Duration::from_millis(5));
    for path in ["/set/a/1", "/sign-in/ann"] {
        let request = Request::post(path).body(Body::empty()).unwrap();
        let span = tracing::info_span!("request", path);
        app.clone().oneshot(request).instrument(span).await.unwrap();
    }
    let text = log.text();
    let calls: Vec<_> = text
        .lines()
        .filter(|line| line.contains("operation="))
        .collect();
    println!("calls={}", calls.len());
    assert!(calls.len() >= 2, "{text}");
    assert!(
        calls.iter().all(|line| line.contains("request{path=")),
        "{text}"
    );
}

/// M15: an unreadable record is one error in the log.
#[tokio::test]
async fn an_unreadable_record_is_one_event() {
    let log = Log::default();
    let _guard = log.subscribe("error");
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.spoil(true);
    browser.get("/get/a").await;
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// Without a layer, the log says what to do.
#[tokio::test]
async fn a_missing_layer_is_in_the_log() {
    let log = Log::default();
    let _guard = log.subscribe("trace");
    let mut browser = Server::start(routes()).await.browser();
    assert_eq!(browser.get("/get/a").await.status, 500);
    let text = log.text();
    assert!(text.contains("SessionLayer"), "{text}");
}
