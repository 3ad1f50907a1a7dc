use cloakroom::{
    SessionLayer,
    store::{Lifetime, Record, SessionStore, SessionToken},
};

use crate::support::{COOKIE, Server, Spy};

/// M1: who never looks at the session pays nothing for it.
#[tokio::test]
async fn a_request_that_ignores_the_session_costs_nothing() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.calls();
    let answer = browser.get("/plain").await;
    assert_eq!((answer.status, &*answer.body), (200, "no session here"));
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(answer.header("vary"), None);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("cache-control"), None);
}

/// M1: without a token no store is asked.
#[tokio::test]
async fn a_visitor_without_cookie_costs_no_store_call() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    let answer = browser.get("/get/a").await;
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("vary"), Some("Cookie"));
}

/// M2: only data makes a record and a cookie.
#[tokio::test]
async fn what_writes_no_data_makes_no_record() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    for act in [
        "/rotate",
        "/end",
        "/clear",
        "/remember/true",
        "/remove/a",
        "/end-others",
        "/take/a",
    ] {
        let answer = browser.post(act).await;
        assert_eq!(answer.status, 200, "{act}");
        assert_eq!(answer.header("set-cookie"), None, "{act}");
        assert_eq!(store.calls(), [""; 0], "{act}");
    }
    assert_eq!(store.records().await, 0);
    assert!(browser.post("/set/a/1").await.cookie(COOKIE).is_some());
    assert_eq!(store.records().await, 1);
}

/// M2: an owner is data.
#[tokio::test]
async fn an_owner_makes_a_record() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    assert!(browser.post("/sign-in/ann").await.cookie(COOKIE).is_some());
    assert_eq!(store.record(&browser).await.owner.as_deref(), Some("ann"));
}

/// M3: an id that the store does not know is never adopted.
#[tokio::test]
async fn a_chosen_id_is_never_adopted() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    for act in [
        "/set/a/1",
        "/sign-in/ann",
        "/count/a",
        "/rotate",
        "/remember/true",
    ] {
        let chosen = SessionToken::generate().unwrap();
        let mut browser = server.browser();
        browser.cookies.insert(COOKIE.into(), chosen.expose());
        browser.post(act).await;
        assert_eq!(store.inner.load(chosen.id()).await.unwrap(), None, "{act}");
        let kept = browser.token() == chosen.expose();
        assert_eq!(kept, ["/rotate", "/remember/true"].contains(&act), "{act}");
    }
    println!("chosen=5 adopted=0");
}

/// M14: all cookies of the name are candidates, in all headers; the first live one wins.
#[tokio::test]
async fn the_first_live_candidate_wins() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    let mut browser = server.browser();
    browser.post("/set/a/mine").await;
    let mut later = server.browser();
    later.post("/set/a/later").await;
    let (mine, later) = (browser.token(), later.token());
    let dead = SessionToken::generate().unwrap().expose();
    let headers = format!(
        "Cookie: x=\u{fc}; {COOKIE}=nonsense; {COOKIE}={dead}\r\n\
         Cookie: {COOKIE}={mine}; {COOKIE}={later}\r\n"
    );
    assert_eq!(browser.raw("GET", "/get/a", &headers).await.body, "mine");
}

/// M14: a malformed token is no session and no store call.
#[tokio::test]
async fn a_malformed_token_costs_no_store_call() {
    let store = Spy::new();
    let browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    let long = "A".repeat(5_000);
    for token in [
        "",
        "x",
        &long,
        "%00",
        "\"quoted\"",
        "A,B",
        &format!("{}=", &long[..43]),
    ] {
        let answer = browser
            .raw("GET", "/get/a", &format!("Cookie: {COOKIE}={token}\r\n"))
            .await;
        assert_eq!((answer.status, &*answer.body), (200, ""));
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(store.calls(), [""; 0]);
}

/// M14: at most four candidates are tried, however many there are.
#[tokio::test]
async fn fifty_cookies_cost_four_calls() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    let pairs: Vec<_> = (0..50)
        .map(|_| format!("{COOKIE}={}", SessionToken::generate().unwrap().expose()))
        .collect();
    let headers = format!("Cookie: {}\r\n", pairs.join("; "));
    assert_eq!(
        server.browser().raw("GET", "/get/a", &headers).await.status,
        200
    );
    assert_eq!(store.calls(), ["load"; 4]);
}

/// M2, M3: a session is found by the hash of its token, never by the token or the id itself.
#[tokio::test]
async fn an_id_is_no_token() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    let token = SessionToken::generate().unwrap();
    let record = Record::new(token.id(), Lifetime::BROWSER);
    assert!(matches!(
        store.inner.save(&record).await.unwrap(),
        cloakroom::store::Saved::Stored(_)
    ));
    let mut thief = server.browser();
    for guess in [
        token.id().to_string(),
        format!("{}{}", token.id(), &token.id().to_string()[..11]),
    ] {
        thief.cookies.insert(COOKIE.into(), guess);
        assert_eq!(thief.post("/rotate").await.header("set-cookie"), None);
    }
    thief.cookies.insert(COOKIE.into(), token.expose());
    assert!(thief.post("/rotate").await.cookie(COOKIE).is_some());
}
