use std::time::Duration;

use axum::{
    http::header::SET_COOKIE,
    response::AppendHeaders,
    routing::{get, post},
};
use cloakroom::{Result, SameSite, Session, SessionLayer};

use crate::support::{COOKIE, DAY, MINUTE, Server, Spy, routes};

/// M10: the default cookie; browser-length has no age, persistent has what remains.
#[tokio::test]
async fn the_cookie_of_each_kind() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store)).await.browser();
    let answer = browser.post("/set/a/1").await;
    let token = browser.token();
    let plain = format!("__Host-id={token}; HttpOnly; SameSite=Lax; Secure; Path=/");
    assert_eq!(token.len(), 43);
    assert_eq!(answer.cookie(COOKIE), Some(&*plain));
    let answer = browser.post("/remember/true").await;
    assert_eq!(
        answer.cookie(COOKIE),
        Some(&*format!("{plain}; Max-Age=1209600"))
    );
}

/// M10: the cookie is not sent with each save, but whenever the deadline has moved by 1/20.
#[tokio::test]
async fn a_persistent_cookie_is_renewed_now_and_then() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    assert_eq!(browser.post("/set/a/2").await.header("set-cookie"), None);
    browser.post("/remember/true").await;
    let mut sent = 0;
    for n in 0..1_000 {
        // Saved every minute: each save moves the deadline by far less than 1/20.
        store.clock.advance(MINUTE);
        let answer = browser.post(&format!("/set/a/{n}")).await;
        sent += u32::from(answer.cookie(COOKIE).is_some());
    }
    println!("saves=1000 over=1000min step=1008min cookies={sent}");
    assert!((0..=1).contains(&sent));
    store.clock.advance(DAY);
    let answer = browser.post("/set/a/x").await;
    assert_eq!(answer.max_age(), Some(14 * 24 * 60 * 60));
    store.clock.advance(DAY);
    let answer = browser.get("/get/a").await;
    assert_eq!(answer.max_age(), Some(14 * 24 * 60 * 60), "by a touch");
}

/// M10: a session that is saved every few hours keeps its cookie for as long as it lives.
#[tokio::test]
async fn a_busy_persistent_session_never_loses_its_cookie() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    browser.post("/remember/true").await;
    let mut left = 14 * DAY;
    for n in 0..(80 * 6) {
        store.clock.advance(4 * 60 * MINUTE);
        left = left
            .checked_sub(4 * 60 * MINUTE)
            .expect("the browser still has the cookie");
        if let Some(age) = browser.post(&format!("/set/a/{n}")).await.max_age() {
            left = Duration::from_secs(age);
        }
    }
    assert_eq!(browser.get("/get/a").await.body, "479");
}

/// M11: the removal repeats the attributes, and comes with the end of a session only.
#[tokio::test]
async fn only_an_end_removes_the_cookie() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store)).await.browser();
    browser.post("/set/a/1").await;
    let late = browser.clone();
    browser.post("/rotate").await;
    let answer = late.clone().get("/get/a").await;
    assert_eq!(
        answer.header("set-cookie"),
        None,
        "an unknown id is no reason"
    );
    let answer = browser.post("/end").await;
    let removal = answer.cookie(COOKIE).unwrap();
    for part in [
        "__Host-id=;",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Path=/",
        "Max-Age=0",
    ] {
        assert!(removal.contains(part), "{part} in {removal}");
    }
    assert!(browser.cookies.is_empty());
}

/// M12: a cookie of our name that the handler set itself makes way.
#[tokio::test]
async fn there_is_one_cookie_of_our_name() {
    let forge = async |session: Session| -> Result<_> {
        session.insert("a", "1")?;
        Ok((
            AppendHeaders([(SET_COOKIE, "__Host-id=forged"), (SET_COOKIE, "other=1")]),
            "",
        ))
    };
    let routes = routes().route("/forge", post(forge));
    let mut browser = Server::start(routes.layer(SessionLayer::new(Spy::new())))
        .await
        .browser();
    let answer = browser.post("/forge").await;
    assert!(!answer.cookie(COOKIE).unwrap().contains("forged"));
    assert!(answer.cookie("other").is_some());
}

/// M13: `Vary` when the session was read, `no-store` with our cookie.
#[tokio::test]
async fn caches_are_told() {
    let tagged = async |session: Session| {
        let _ = session.get::<String>("a");
        AppendHeaders([
            ("vary", "Accept-Encoding"),
            ("cache-control", "private, max-age=60"),
        ])
    };
    let strict = async |session: Session| -> Result<_> {
        session.insert("a", "2")?;
        session.rotate().await?;
        Ok(AppendHeaders([
            ("vary", "*"),
            ("cache-control", "private, no-store"),
        ]))
    };
    let routes = routes()
        .route("/tagged", get(tagged))
        .route("/strict", post(strict));
    let mut browser = Server::start(routes.clone().layer(SessionLayer::new(Spy::new())))
        .await
        .browser();
    let answer = browser.post("/set/a/1").await;
    assert_eq!(answer.all("vary"), ["Cookie"]);
    assert_eq!(answer.all("cache-control"), ["no-store"]);
    let answer = browser.get("/tagged").await;
    assert_eq!(answer.all("vary"), ["Accept-Encoding, Cookie"]);
    assert_eq!(answer.all("cache-control"), ["private, max-age=60"]);
    let answer = browser.post("/strict").await;
    assert_eq!(answer.all("vary"), ["*"]);
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);

    let layer = SessionLayer::new(Spy::new()).no_store_when_read();
    let mut browser = Server::start(routes.layer(layer)).await.browser();
    assert_eq!(
        browser.get("/tagged").await.all("cache-control"),
        ["no-store"]
    );
    assert_eq!(browser.get("/plain").await.header("cache-control"), None);
}

/// M10: settings of the cookie, and its prefix.
#[tokio::test]
async fn the_cookie_is_as_it_was_set() -> Result<(), Box<dyn std::error::Error>> {
    let layer = SessionLayer::new(Spy::new())
        .cookie_name("sid".parse()?)
        .domain("example.org".parse()?)
        .path("/shop".parse()?)
        .same_site(SameSite::None)
        .partitioned();
    let answer = Server::with(layer.clone())
        .await
        .browser()
        .post("/set/a/1")
        .await;
    let cookie = answer.cookie("__Secure-sid").unwrap();
    for part in [
        "SameSite=None",
        "Partitioned",
        "Secure",
        "Path=/shop",
        "Domain=example.org",
    ] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let answer = Server::with(layer.plain_http())
        .await
        .browser()
        .post("/set/a/1")
        .await;
    let cookie = answer.cookie("sid").unwrap();
    assert!(
        !cookie.contains("Secure") && !cookie.contains("Partitioned"),
        "{cookie}"
    );
    assert!(cookie.contains("SameSite=Lax"), "{cookie}");
    Ok(())
}

/// M18: the probe costs no record, and any cookie of ours shows that cookies work.
#[tokio::test]
async fn a_probe_shows_whether_cookies_work() {
    let store = Spy::new();
    let probe = async |session: Session| {
        session.set_test_cookie();
        session.test_cookie_worked().to_string()
    };
    let routes = routes().route("/probe", get(probe));
    let server = Server::start(routes.layer(SessionLayer::new(store.clone()))).await;
    let mut browser = server.browser();
    let answer = browser.get("/probe").await;
    assert_eq!(answer.body, "false");
    let cookie = answer.cookie("__Host-id-probe").unwrap();
    assert_eq!(
        cookie,
        "__Host-id-probe=1; HttpOnly; SameSite=Lax; Secure; Path=/"
    );
    assert_eq!(answer.all("cache-control"), ["no-store"]);
    assert_eq!(browser.get("/probe").await.body, "true");
    assert_eq!(store.calls(), [""; 0]);

    let mut other = server.browser();
    other.post("/set/a/1").await;
    assert_eq!(other.get("/probe").await.body, "true");
}
