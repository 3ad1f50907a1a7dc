use std::time::Duration;

use axum::routing::post;
use cloakroom::{Error, Persistence, Result, Session, SessionLayer, store::SessionStore};

use crate::support::{COOKIE, DAY, Gate, MINUTE, Server, Spy, routes};

/// M6: signing in gives a new id and an owner, keeps the visitor's entries, and kills the old id.
#[tokio::test]
async fn signing_in_rotates_and_keeps_the_visitors_entries() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/cart/17").await;
    let before = browser.clone();
    let created = store.record(&browser).await.stamp.unwrap().created_at;
    store.clock.advance(MINUTE);
    assert!(browser.post("/sign-in/ann").await.cookie(COOKIE).is_some());
    assert_ne!(browser.token(), before.token());
    assert_eq!(browser.get("/get/cart").await.body, "17");
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
    assert_eq!(before.clone().get("/get/cart").await.body, "");
    let stamp = store.record(&browser).await.stamp.unwrap();
    assert_eq!(stamp.created_at, created + MINUTE);
}

/// M6: who signs in over somebody else finds nothing of theirs.
#[tokio::test]
async fn signing_in_over_somebody_else_empties_the_data() {
    let store = Spy::new();
    let sign_in = async |session: Session| -> Result<()> {
        session.insert("before", "of ann's page")?;
        session.sign_in("bob").await?;
        session.insert("after", "1")
    };
    let routes = routes().route("/insert-and-sign-in", post(sign_in));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store)))
        .await
        .browser();
    browser.post("/sign-in/ann").await;
    browser.post("/set/secret/1").await;
    browser.post("/sign-in/ann").await;
    assert_eq!(browser.get("/keys").await.body, "secret");
    browser.post("/insert-and-sign-in").await;
    assert_eq!(browser.get("/keys").await.body, "after");
    assert_eq!(browser.get("/whoami").await.body, r#"["bob","Browser"]"#);
}

/// M6: whoever signs in is signed in, even if the old session has just ended.
#[tokio::test]
async fn signing_in_over_an_ended_session_begins_a_fresh_one() {
    let store = Spy::new();
    let gate = Gate::default();
    let slow = {
        let gate = gate.clone();
        async move |session: Session| -> Result<()> {
            gate.pass().await;
            session.sign_in("ann").await?;
            session.insert("new", "1")
        }
    };
    let routes = routes().route("/slow", post(slow));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/old/1").await;
    let mut other = browser.clone();
    let slow = tokio::spawn(async move { (other.post("/slow").await.status, other) });
    gate.reached().await;
    store
        .inner
        .expire(store.record(&browser).await.id)
        .await
        .unwrap();
    gate.open();
    let (status, mut browser) = slow.await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(browser.get("/keys").await.body, "new");
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
}

/// M6: acts carry no pending changes; those are stored with the commit, under the new id.
#[tokio::test]
async fn acts_leave_changes_pending() {
    let store = Spy::new();
    let act = async |session: Session| -> Result<String> {
        session.insert("a", "1")?;
        session.sign_in("ann").await?;
        session.insert("b", "1")?;
        session.rotate().await?;
        let stored = session.reload().await?;
        Ok(format!("{stored} {}", session.keys().join(",")))
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    assert_eq!(browser.post("/act").await.body, "true a,b");
    assert_eq!(store.calls(), ["save", "rotate", "load", "save"]);
    assert_eq!(store.record(&browser).await.data.len(), 2);
}

/// M6: an end drops pending changes and removes the cookie; a later insert begins a new session
/// of the default persistence and of nobody, and the one cookie is the new one.
#[tokio::test]
async fn what_follows_an_end_is_a_new_session() {
    let store = Spy::new();
    let end = async |session: Session| -> Result<()> {
        session.insert("before", "1")?;
        session.end().await?;
        session.insert("after", "1")
    };
    let routes = routes().route("/end-and-insert", post(end));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/sign-in/ann").await;
    browser.post("/remember/true").await;
    let ended = browser.clone();
    let answer = browser.post("/end-and-insert").await;
    assert_eq!(answer.all("set-cookie").len(), 1);
    assert_eq!(answer.max_age(), None);
    assert_eq!(browser.get("/keys").await.body, "after");
    assert_eq!(browser.get("/whoami").await.body, r#"["","Browser"]"#);
    assert_eq!(ended.clone().get("/keys").await.body, "");
    assert_eq!(store.records().await, 1);
}

/// M6: an end ends every session of the cookie's name that the browser sent.
#[tokio::test]
async fn an_end_leaves_no_second_cookie_alive() {
    let store = Spy::new();
    let server = Server::with(SessionLayer::new(store.clone())).await;
    let (mut one, mut other) = (server.browser(), server.browser());
    one.post("/sign-in/ann").await;
    other.post("/sign-in/ann").await;
    let headers = format!(
        "Cookie: {COOKIE}={}; {COOKIE}={}\r\n",
        one.token(),
        other.token()
    );
    assert_eq!(one.raw("POST", "/end", &headers).await.status, 200);
    assert_eq!(store.records().await, 0);
}

/// M6: `end_others` ends all sessions of the owner but this one.
#[tokio::test]
async fn ending_others_spares_this_one() {
    let store = Spy::new();
    let list = async |session: Session| -> Result<String> {
        let sessions = session.sessions().await?;
        let current = sessions.iter().filter(|info| info.current).count();
        Ok(format!(
            "{} {current} {}",
            sessions.len(),
            session.end_others().await?
        ))
    };
    let routes = routes().route("/list-and-end", post(list));
    let server = Server::start(routes.layer(SessionLayer::new(store.clone()))).await;
    let mut browsers = [(); 3].map(|()| server.browser());
    for browser in &mut browsers {
        browser.post("/sign-in/ann").await;
    }
    let mut bob = server.browser();
    bob.post("/sign-in/bob").await;
    assert_eq!(browsers[1].post("/list-and-end").await.body, "3 1 2");
    assert_eq!(browsers[0].get("/whoami").await.body, r#"["","Browser"]"#);
    assert_eq!(
        browsers[1].get("/whoami").await.body,
        r#"["ann","Browser"]"#
    );
    assert_eq!(bob.get("/whoami").await.body, r#"["bob","Browser"]"#);
    assert_eq!(bob.post("/end-others").await.body, "0");
}

/// M6: an act that has begun runs to its end although its future is dropped, and the response
/// waits for it and has its cookie.
#[tokio::test]
async fn a_dropped_act_runs_to_its_end() {
    let store = Spy::new();
    let act = async |session: Session| {
        let act = session.sign_in("ann");
        tokio::select! {
            _ = act => panic!("the store is slow"),
            () = tokio::time::sleep(Duration::from_millis(5)) => "dropped",
        }
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    store.slow(Duration::from_millis(50));
    let answer = browser.post("/act").await;
    assert_eq!(answer.body, "dropped");
    assert!(answer.cookie(COOKIE).is_some());
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
}

/// M6: one session's store calls go one after the other.
#[tokio::test]
async fn acts_of_one_session_take_turns() {
    let store = Spy::new();
    let acts = async |session: Session| -> Result<()> {
        let (one, two, three) =
            tokio::join!(session.rotate(), session.sign_in("ann"), session.rotate());
        one.and(two).and(three)
    };
    let routes = routes().route("/acts", post(acts));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.slow(Duration::from_millis(5));
    store.calls();
    assert_eq!(browser.post("/acts").await.status, 200);
    assert_eq!(store.calls(), ["load", "rotate", "rotate", "rotate"]);
    assert_eq!(browser.get("/whoami").await.body, r#"["ann","Browser"]"#);
}

/// M6, M9: `remember` before or after `sign_in` is the same.
#[tokio::test]
async fn remember_and_sign_in_in_either_order() {
    let store = Spy::new();
    let first = async |session: Session| -> Result<()> {
        session.remember(true);
        session.sign_in("ann").await
    };
    let last = async |session: Session| -> Result<()> {
        session.sign_in("ann").await?;
        session.remember(true);
        Ok(())
    };
    let routes = routes()
        .route("/first", post(first))
        .route("/last", post(last));
    let server = Server::start(routes.layer(SessionLayer::new(store.clone()))).await;
    for path in ["/first", "/last"] {
        let mut browser = server.browser();
        let answer = browser.post(path).await;
        assert_eq!(answer.max_age(), Some(14 * 24 * 60 * 60), "{path}");
        let record = store.record(&browser).await;
        assert_eq!(record.lifetime.persistence(), Persistence::Persistent);
        assert_eq!(record.stamp.unwrap().remaining, 14 * DAY);
    }
}

/// A user id that cannot be an owner is an error of the application's, not a session.
#[tokio::test]
async fn an_empty_user_id_cannot_sign_in() {
    let store = Spy::new();
    let act = async |session: Session| match session.sign_in("").await {
        Err(Error::Owner(_)) => "refused",
        _ => "accepted",
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    assert_eq!(browser.post("/act").await.body, "refused");
    assert_eq!(store.calls(), [""; 0]);
}
