use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
    routing::{get, post},
};
use cloakroom::{Error, Result, Session, SessionHandle, SessionLayer};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{COOKIE, Gate, Log, Server, Spy, routes};

/// M7: data is written on 2xx to 4xx, and not on 5xx, nor where a handler was cut off.
#[tokio::test]
async fn a_server_error_stores_nothing() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    for (status, stored) in [
        (200, true),
        (303, true),
        (404, true),
        (408, false),
        (422, true),
        (500, false),
        (503, false),
    ] {
        let mut browser = server.browser();
        let answer = browser.post(&format!("/set/a/1/{status}")).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.cookie(COOKIE).is_some(), stored, "{status}");
        assert_eq!(browser.get("/get/a").await.body == "1", stored, "{status}");
    }
}

/// M7: what acted at once keeps its cookie, whatever the handler's status.
#[tokio::test]
async fn the_cookie_of_an_act_is_on_a_server_error_too() {
    let store = Spy::new();
    let fail = async |session: Session| -> Result<StatusCode> {
        session.sign_in("ann").await?;
        session.insert("a", "1")?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let routes = routes().route("/fail", post(fail));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    let answer = browser.post("/fail").await;
    assert_eq!(answer.status, 500);
    assert!(answer.cookie(COOKIE).is_some());
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
    assert_eq!(browser.get("/keys").await.body, "");
}

/// M7: a commit that fails replaces the response, and keeps the cookie of what acted.
#[tokio::test]
async fn a_failed_commit_replaces_the_response() {
    let store = Spy::new();
    let fail = {
        let store = store.clone();
        async move |session: Session| -> Result<&'static str> {
            session.sign_in("ann").await?;
            session.insert("a", "1")?;
            store.fail(true);
            Ok("all is well")
        }
    };
    let routes = routes().route("/fail", post(fail));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    let answer = browser.post("/fail").await;
    assert_eq!((answer.status, &*answer.body), (503, ""));
    assert!(answer.cookie(COOKIE).is_some());
    store.fail(false);
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
    assert_eq!(browser.get("/keys").await.body, "");
}

/// M7: an inner service's error and a panic store nothing.
#[tokio::test]
async fn an_error_or_a_panic_stores_nothing() {
    let store = Spy::new();
    let failing = service_fn(async |request: Request<Body>| {
        let handle = request.extensions().get::<SessionHandle>().unwrap().clone();
        let session = handle.load().await.unwrap();
        session.insert("a", "1").unwrap();
        assert_ne!(request.uri().path(), "/panic", "as asked");
        Err::<Response<Body>, _>("failed")
    });
    let service = SessionLayer::new(store.clone()).layer(failing);
    let answer = service.clone().oneshot(Request::new(Body::empty())).await;
    assert_eq!(answer.unwrap_err(), "failed");
    let request = Request::builder()
        .uri("/panic")
        .body(Body::empty())
        .unwrap();
    let panicked = tokio::spawn(service.oneshot(request)).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(store.calls(), [""; 0]);
}

/// M7: once the handler has returned its changes are stored, although the client has gone.
#[tokio::test]
async fn a_client_that_hangs_up_cannot_undo_what_was_done() {
    let store = Spy::new();
    let returned = Arc::new(Notify::new());
    let set = {
        let returned = Arc::clone(&returned);
        async move |session: Session| -> Result<()> {
            returned.notify_one();
            session.insert("a", "1")
        }
    };
    let routes = routes().route("/set", post(set));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/first/1").await;
    let (mut stored, mut cut) = (0, 0);
    for round in 0..20 {
        browser.post("/remove/a").await;
        store.slow(Duration::from_millis(20));
        let stream = browser.send("POST", "/set", &browser.header()).await;
        returned.notified().await;
        tokio::time::sleep(Duration::from_millis(round % 4)).await;
        drop(stream);
        cut += 1;
        tokio::time::sleep(Duration::from_millis(60)).await;
        store.slow(Duration::ZERO);
        stored += u32::from(store.record(&browser).await.data.get("a").is_some());
    }
    println!("hung_up={cut} stored={stored}");
    assert_eq!(stored, cut);
}

/// M7: a handler that is dropped half-way changes nothing.
#[tokio::test]
async fn a_handler_dropped_half_way_changes_nothing() {
    let store = Spy::new();
    let (gate, dropped) = (Gate::default(), Arc::new(Notify::new()));
    let slow = {
        let (gate, dropped) = (gate.clone(), Arc::clone(&dropped));
        async move |session: Session| -> Result<()> {
            struct OnDrop(Arc<Notify>);
            impl Drop for OnDrop {
                fn drop(&mut self) {
                    self.0.notify_one();
                }
            }
            let _guard = OnDrop(Arc::clone(&dropped));
            session.insert("a", "1")?;
            gate.pass().await;
            Ok(())
        }
    };
    let routes = routes().route("/slow", get(slow));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/first/1").await;
    store.calls();
    let stream = browser.send("GET", "/slow", &browser.header()).await;
    gate.reached().await;
    drop(stream);
    dropped.notified().await;
    tokio::task::yield_now().await;
    assert_eq!(store.calls(), ["load"]);
    assert_eq!(store.record(&browser).await.data.get("a"), None);
}

/// M7: a panic while the session is stored is a 500, on record, and nothing is pending any more.
#[tokio::test]
async fn a_panic_in_an_update_that_runs_again_is_a_500() {
    let log = Log::default();
    let _guard = log.subscribe("warn");
    let store = Spy::new();
    let panicking = async |session: Session| -> Result<()> {
        session.update("n", |n: Option<u32>| match n {
            Some(1) => 2,
            other => panic!("as asked, at {other:?}"),
        })?;
        Ok(())
    };
    let gate = Gate::default();
    let slow = {
        let gate = gate.clone();
        async move |session: Session| -> Result<()> {
            panicking(session).await?;
            gate.pass().await;
            Ok(())
        }
    };
    let routes = routes().route("/slow", post(slow));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/count/n").await;
    let mut other = browser.clone();
    let slow = tokio::spawn(async move { other.post("/slow").await.status });
    gate.reached().await;
    browser.post("/count/n").await;
    gate.open();
    assert_eq!(slow.await.unwrap(), 500);
    assert_eq!(store.record(&browser).await.data.get("n"), Some("2"));
    let text = log.text();
    assert_eq!(text.matches("could not be stored").count(), 1, "{text}");
    assert!(!text.contains("changes dropped"), "{text}");
}

/// The middleware works around a plain tower service, without axum.
#[tokio::test]
async fn a_plain_tower_service_has_sessions() {
    let store = Spy::new();
    let counter = service_fn(async |request: Request<String>| {
        let answer = async {
            let handle = request
                .extensions()
                .get::<SessionHandle>()
                .ok_or(Error::LayerMissing)?;
            let session = handle.load().await?;
            session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)
        };
        Ok::<_, Infallible>(match answer.await {
            Ok(visits) => Response::new(visits.to_string()),
            Err(error) => {
                let mut response = Response::new(error.to_string());
                *response.status_mut() = error.status();
                response
            }
        })
    });
    let service = SessionLayer::new(store).layer(counter);
    let response = service
        .clone()
        .oneshot(Request::new(String::new()))
        .await
        .unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let pair = cookie.split(';').next().unwrap().to_owned();
    assert_eq!(response.body(), "1");
    let request = Request::builder()
        .header("cookie", pair)
        .body(String::new())
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.body(), "2");
    assert_eq!(response.headers().get("set-cookie"), None);

    let bare = counter.oneshot(Request::new(String::new())).await.unwrap();
    assert_eq!(bare.status(), 500);
    assert!(bare.body().contains("add one to the router"));
}
