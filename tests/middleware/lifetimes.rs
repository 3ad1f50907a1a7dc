use std::time::Duration;

use axum::routing::get;
use cloakroom::{
    Persistence, Session, SessionLayer,
    store::{Lifetime, SessionStore},
};

use crate::support::{COOKIE, DAY, MINUTE, Server, Spy, routes};

/// M8: a session that is used lives on, by touches that are rare.
#[tokio::test]
async fn a_session_in_use_is_touched_at_a_twentieth() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.calls();
    // 1/20 of 30 minutes is 90 seconds.
    store.clock.advance(Duration::from_secs(89));
    browser.get("/get/a").await;
    assert_eq!(store.calls(), ["load"]);
    store.clock.advance(Duration::from_secs(1));
    let answer = browser.get("/get/a").await;
    assert_eq!(store.calls(), ["load", "touch"]);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(
        store.record(&browser).await.stamp.unwrap().remaining,
        30 * MINUTE
    );
    for _ in 0..10 {
        store.clock.advance(29 * MINUTE);
        assert_eq!(browser.get("/get/a").await.body, "1");
    }
    store.clock.advance(30 * MINUTE);
    assert_eq!(browser.get("/get/a").await.body, "");
}

/// What a handler is told of the deadline is what the store said.
#[tokio::test]
async fn a_session_knows_how_long_it_lives() {
    let store = Spy::new();
    let ask = async |session: Session| format!("{:?}", session.remaining());
    let routes = routes().route("/remaining", get(ask));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    assert_eq!(browser.get("/remaining").await.body, "None");
    browser.post("/set/a/1").await;
    store.clock.advance(MINUTE);
    let minutes_29 = format!("{:?}", Some(29 * MINUTE));
    assert_eq!(browser.get("/remaining").await.body, minutes_29);
}

/// M8: neither a session that nobody looks at is touched, nor one that is saved.
#[tokio::test]
async fn only_use_without_a_save_is_touched() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.clock.advance(5 * MINUTE);
    store.calls();
    browser.get("/plain").await;
    assert_eq!(store.calls(), [""; 0]);
    browser.post("/set/a/2").await;
    assert_eq!(store.calls(), ["load", "save"]);
}

/// M8: once the absolute timeout is what limits the session there is nothing to touch.
#[tokio::test]
async fn near_the_absolute_timeout_nothing_is_touched() {
    let store = Spy::new();
    let layer = SessionLayer::new(store.clone()).browser_absolute(31 * MINUTE);
    let mut browser = Server::with(layer).await.browser();
    browser.post("/set/a/1").await;
    store.clock.advance(20 * MINUTE);
    store.calls();
    browser.get("/get/a").await;
    assert_eq!(store.calls(), ["load"], "one minute to gain of thirty");
    store.clock.advance(10 * MINUTE);
    assert_eq!(browser.get("/get/a").await.body, "");
}

/// M8: a failed touch costs nobody a response.
#[tokio::test]
async fn a_failed_touch_is_no_failure() {
    let store = Spy::new();
    let slow = {
        let store = store.clone();
        async move |session: cloakroom::Session| {
            store.fail(true);
            session.get::<String>("a").map(Option::unwrap_or_default)
        }
    };
    let routes = crate::support::routes().route("/fail-later", axum::routing::get(slow));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.clock.advance(5 * MINUTE);
    store.calls();
    let answer = browser.get("/fail-later").await;
    assert_eq!((answer.status, &*answer.body), (200, "1"));
    assert_eq!(store.calls(), ["load", "touch"]);
}

/// M9: `remember` changes the cookie and the server's expiry together, both ways.
#[tokio::test]
async fn remember_changes_cookie_and_expiry_both_ways() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    let answer = browser.post("/set/a/1").await;
    assert_eq!(answer.max_age(), None);
    assert_eq!(store.record(&browser).await.lifetime, Lifetime::BROWSER);

    let answer = browser.post("/remember/true").await;
    assert_eq!(answer.max_age(), Some(14 * 24 * 60 * 60));
    let record = store.record(&browser).await;
    assert_eq!(record.lifetime, Lifetime::PERSISTENT);
    assert_eq!(record.stamp.unwrap().remaining, 14 * DAY);

    let answer = browser.post("/remember/false").await;
    assert!(
        answer
            .cookie(COOKIE)
            .is_some_and(|cookie| !cookie.contains("Max-Age"))
    );
    let record = store.record(&browser).await;
    assert_eq!(record.lifetime.persistence(), Persistence::Browser);
    assert_eq!(record.stamp.unwrap().remaining, 30 * MINUTE);

    // What it is already changes nothing.
    store.calls();
    let answer = browser.post("/remember/false").await;
    assert_eq!(store.calls(), ["load"]);
    assert_eq!(answer.header("set-cookie"), None);
}

/// M9: a session that has been persistent for long is not signed out by becoming browser-length.
#[tokio::test]
async fn an_old_session_survives_becoming_browser_length() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    browser.post("/remember/true").await;
    for _ in 0..4 {
        store.clock.advance(13 * DAY);
        assert_eq!(browser.get("/get/a").await.body, "1");
    }
    browser.post("/remember/false").await;
    assert_eq!(browser.get("/get/a").await.body, "1");
    let lifetime = store.record(&browser).await.lifetime;
    assert_eq!(lifetime.absolute(), 52 * DAY + DAY / 2);
    // 12 hours more, however busy.
    for _ in 0..35 {
        store.clock.advance(20 * MINUTE);
        assert_eq!(browser.get("/get/a").await.body, "1");
    }
    store.clock.advance(20 * MINUTE);
    assert_eq!(browser.get("/get/a").await.body, "");
}

/// M9: the idle timeout used later is the record's own, whatever the layer says by then.
#[tokio::test]
async fn a_session_keeps_the_timeout_it_was_made_with() {
    let store = Spy::new();
    let made = SessionLayer::new(store.clone()).browser_idle(10 * MINUTE);
    let mut browser = Server::with(made).await.browser();
    browser.post("/set/a/1").await;
    let later = Server::with(SessionLayer::new(store.clone()).browser_idle(60 * MINUTE)).await;
    let mut moved = later.browser();
    moved.cookies = browser.cookies.clone();
    store.clock.advance(9 * MINUTE);
    assert_eq!(moved.get("/get/a").await.body, "1");
    assert_eq!(
        store.record(&moved).await.stamp.unwrap().remaining,
        10 * MINUTE
    );
    moved.post("/set/b/1").await;
    assert_eq!(
        store.record(&moved).await.stamp.unwrap().remaining,
        10 * MINUTE
    );
}

/// M9: the server ends a browser-length session although the browser still has its cookie.
#[tokio::test]
async fn a_restored_tab_finds_no_session() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/sign-in/ann").await;
    store.clock.advance(30 * MINUTE);
    assert_eq!(browser.get("/whoami").await.body, r#"["","Browser"]"#);
    assert!(browser.cookies.contains_key(COOKIE));
}

/// All timeouts are the layer's.
#[tokio::test]
async fn the_layer_sets_the_timeouts() {
    let store = Spy::new();
    let layer = SessionLayer::new(store.clone())
        .default_persistence(Persistence::Persistent)
        .cookie_age(3 * DAY)
        .persistent_absolute(5 * DAY)
        .browser_idle(2 * MINUTE)
        .browser_absolute(4 * MINUTE);
    let mut browser = Server::with(layer).await.browser();
    assert_eq!(
        browser.post("/set/a/1").await.max_age(),
        Some(3 * 24 * 60 * 60)
    );
    let lifetime = store.record(&browser).await.lifetime;
    assert_eq!((lifetime.idle(), lifetime.absolute()), (3 * DAY, 5 * DAY));
    browser.post("/remember/false").await;
    let lifetime = store.record(&browser).await.lifetime;
    assert_eq!(
        (lifetime.idle(), lifetime.absolute()),
        (2 * MINUTE, 4 * MINUTE)
    );
    let saved = store
        .inner
        .save(&store.record(&browser).await)
        .await
        .unwrap();
    assert!(matches!(saved, cloakroom::store::Saved::Stored(_)));
}

/// M9: becoming browser-length never makes a session older than it might have become before.
#[tokio::test]
async fn becoming_browser_length_extends_no_session() {
    let store = Spy::new();
    let layer = SessionLayer::new(store.clone()).persistent_absolute(60 * MINUTE);
    let mut browser = Server::with(layer).await.browser();
    browser.post("/set/a/1").await;
    browser.post("/remember/true").await;
    browser.post("/remember/false").await;
    assert_eq!(
        store.record(&browser).await.lifetime.absolute(),
        60 * MINUTE
    );
}

/// M6: a rotation keeps the age, and with it the absolute timeout.
#[tokio::test]
async fn a_rotation_keeps_the_absolute_timeout() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    let before = store.record(&browser).await.stamp.unwrap().created_at;
    store.clock.advance(20 * MINUTE);
    browser.post("/rotate").await;
    assert_eq!(
        store.record(&browser).await.stamp.unwrap().created_at,
        before
    );
}
