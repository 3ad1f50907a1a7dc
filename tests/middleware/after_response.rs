use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    http::{Request, Response},
    routing::{get, post},
};
use cloakroom::{Committed, Error, Persistence, Result, Session, SessionHandle, SessionLayer};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Gate, Server, Spy, routes};

/// M20: once the response head has left, reading and committing still work, and nothing that
/// would need a cookie does.
#[tokio::test]
async fn after_the_response_only_what_needs_no_cookie_works() {
    let store = Spy::new();
    let (report, mut reports) = mpsc::unbounded_channel();
    let stream = async move |session: Session| {
        let had_record = !session.is_new();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            let outcome = async {
                let inserted = session.insert("late", "1");
                let committed = session.commit().await;
                session.remember(true);
                let rotated = session.rotate().await;
                let signed_in = session.sign_in("ann").await;
                format!(
                    "{} {committed:?} {} {} {}",
                    inserted.is_ok(),
                    matches!(rotated, Err(Error::ResponseSent)),
                    matches!(signed_in, Err(Error::ResponseSent)),
                    session.get::<String>("late").unwrap().unwrap_or_default(),
                )
            };
            report.send((had_record, outcome.await)).unwrap();
        });
    };
    let routes = routes().route("/stream", get(stream));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.get("/stream").await;
    assert_eq!(
        reports.recv().await.unwrap(),
        (false, "false Ok(Unchanged) true true ".into())
    );
    assert_eq!(store.records().await, 0);
    browser.post("/set/a/1").await;
    browser.get("/stream").await;
    assert_eq!(
        reports.recv().await.unwrap(),
        (true, "true Ok(Saved) true true 1".into())
    );
    let record = store.record(&browser).await;
    assert_eq!(record.data.get("late"), Some("\"1\""));
    assert_eq!(record.lifetime.persistence(), Persistence::Browser);
}

/// M20: a session can be ended, and read again, long after the response.
#[tokio::test]
async fn a_websocket_learns_of_the_sign_out() {
    let store = Spy::new();
    let (report, mut reports) = mpsc::unbounded_channel();
    let gate = Gate::default();
    let socket = {
        let gate = gate.clone();
        async move |session: Session| {
            tokio::spawn(async move {
                let before = session.reload().await.unwrap();
                gate.pass().await;
                let after = session.reload().await.unwrap();
                let _ = session.insert("a", &1);
                report
                    .send((before, after, session.commit().await.unwrap()))
                    .unwrap();
            });
        }
    };
    let routes = routes().route("/socket", get(socket));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/sign-in/ann").await;
    browser.get("/socket").await;
    browser.post("/end").await;
    gate.open();
    assert_eq!(
        reports.recv().await.unwrap(),
        (true, false, Committed::Gone)
    );
    assert_eq!(store.records().await, 0);
}

/// M20: where no response will come, no id changes.
#[tokio::test]
async fn no_id_changes_when_the_client_has_gone() {
    let store = Spy::new();
    let gate = Gate::default();
    let (report, mut reports) = mpsc::unbounded_channel();
    let slow = {
        let gate = gate.clone();
        async move |session: Session| -> Result<()> {
            let (gate, report) = (gate.clone(), report.clone());
            tokio::spawn(async move {
                gate.pass().await;
                report.send(session.rotate().await.is_ok()).unwrap();
            });
            std::future::pending().await
        }
    };
    let routes = routes().route("/slow", get(slow));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    let stream = browser.send("GET", "/slow", &browser.header()).await;
    gate.reached().await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(30)).await;
    gate.open();
    let rotated = reports.recv().await.unwrap();
    let alive = browser.get("/get/a").await.body == "1";
    assert!(!rotated && alive, "rotated={rotated} alive={alive}");
}

/// M20: the same after an inner service's error.
#[tokio::test]
async fn no_session_is_made_after_an_inner_error() {
    let store = Spy::new();
    let kept = Arc::new(Mutex::new(None));
    let failing = {
        let kept = Arc::clone(&kept);
        service_fn(move |request: Request<String>| {
            let kept = Arc::clone(&kept);
            async move {
                let handle = request.extensions().get::<SessionHandle>().unwrap().clone();
                *kept.lock().unwrap() = Some(handle.load().await.unwrap());
                Err::<Response<String>, _>("failed")
            }
        })
    };
    let service = SessionLayer::new(store.clone()).layer(failing);
    let _ = service.oneshot(Request::new(String::new())).await;
    let session: Session = kept.lock().unwrap().take().unwrap();
    let signed_in = session.sign_in("ann").await;
    assert!(signed_in.is_err(), "a session that nobody has a cookie of");
    assert_eq!(store.records().await, 0);
}

/// M20: `remember` after the response changes nothing, with a commit after it either.
#[tokio::test]
async fn remember_after_the_response_does_nothing() {
    let store = Spy::new();
    let (report, mut reports) = mpsc::unbounded_channel();
    let stream = async move |session: Session| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            session.remember(true);
            report.send(session.commit().await.unwrap()).unwrap();
        });
    };
    let routes = routes().route("/stream", get(stream));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    browser.get("/stream").await;
    assert_eq!(reports.recv().await.unwrap(), Committed::Unchanged);
}

/// M9, M20: nor does a `remember` that comes while the response waits for the store.
#[tokio::test]
async fn remember_beside_the_last_save_does_nothing() {
    let store = Spy::new();
    let gate = Gate::default();
    let (report, mut reports) = mpsc::unbounded_channel();
    let act = {
        let gate = gate.clone();
        async move |session: Session| {
            session.insert("a", "2").unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                session.remember(true);
                gate.pass().await;
                session.insert("a", "3").unwrap();
                report.send(session.commit().await.unwrap()).unwrap();
            });
        }
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.slow(Duration::from_millis(100));
    assert_eq!(browser.post("/act").await.max_age(), None);
    gate.open();
    assert_eq!(reports.recv().await.unwrap(), Committed::Saved);
    let record = store.record(&browser).await;
    assert_eq!(record.lifetime.persistence(), Persistence::Browser);
}
