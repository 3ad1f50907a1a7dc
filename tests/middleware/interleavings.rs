use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    routing::{get, post},
};
use cloakroom::{Committed, Marked, Outage, Result, Session, SessionLayer, store::Lifetime};
use tokio::sync::mpsc;

use crate::support::{DAY, Gate, MINUTE, Server, Spy, routes};

struct Admin;

/// M6: an act that waits its turn and is not polled any more does not stop the next one.
#[tokio::test]
async fn an_act_that_nobody_polls_blocks_nobody() {
    let store = Spy::new();
    let act = async |session: Session| -> Result<()> {
        // Runs on for 50 ms, dropped.
        let _ = tokio::time::timeout(Duration::from_millis(5), session.rotate()).await;
        let mut waiting = std::pin::pin!(session.rotate());
        tokio::select! {
            done = &mut waiting => done,
            () = tokio::time::sleep(Duration::from_millis(5)) => session.end().await,
        }
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.slow(Duration::from_millis(50));
    let answered = tokio::time::timeout(Duration::from_secs(20), browser.post("/act")).await;
    assert!(answered.is_ok(), "the handler hangs");
}

/// M6: a commit that panicked leaves its changes pending, whatever acts next.
#[tokio::test]
async fn changes_of_a_commit_that_panicked_survive_an_act() {
    let store = Spy::new();
    let (gate, panics) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let act = {
        let (gate, panics) = (gate.clone(), Arc::clone(&panics));
        async move |session: Session| -> Result<()> {
            let panics_now = Arc::clone(&panics);
            session.insert("kept", "1")?;
            session.update("n", move |n: Option<u32>| {
                assert!(!panics_now.load(SeqCst), "as asked");
                n.unwrap_or(0) + 1
            })?;
            gate.pass().await;
            panics.store(true, SeqCst);
            assert!(session.commit().await.is_err());
            panics.store(false, SeqCst);
            session.rotate().await
        }
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/count/n").await;
    let mut other = browser.clone();
    let act = tokio::spawn(async move {
        assert_eq!(other.post("/act").await.status, 200);
        other
    });
    gate.reached().await;
    browser.post("/count/n").await;
    gate.open();
    let data = store.record(&act.await.unwrap()).await.data;
    assert_eq!(
        (data.get("kept"), data.get("n")),
        (Some(r#""1""#), Some("3"))
    );
}

/// M6: who signs in over somebody else has not asked to be remembered.
#[tokio::test]
async fn a_stranger_does_not_inherit_remember_me() {
    let store = Spy::new();
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/sign-in/ann").await;
    browser.post("/remember/true").await;
    let answer = browser.post("/sign-in/bob").await;
    assert_eq!(browser.get("/whoami").await.body, r#"["bob","Browser"]"#);
    assert_eq!(answer.max_age(), None);
}

/// M7, M19: a commit that fails loses no cookie of an inner layer.
#[tokio::test]
async fn a_failed_commit_keeps_the_cookies_of_other_sessions() {
    let (outer, inner) = (Spy::new(), Spy::new());
    let act = {
        let outer = outer.clone();
        async move |session: Session, admin: Marked<Admin>| -> Result<()> {
            admin.sign_in("root").await?;
            session.insert("a", "1")?;
            outer.fail(true);
            Ok(())
        }
    };
    let routes = Router::new()
        .route("/act", post(act))
        .route(
            "/who",
            get(async |admin: Marked<Admin>| admin.owner().is_some().to_string()),
        )
        .route(
            "/begin",
            post(async |admin: Marked<Admin>| admin.insert("x", "1")),
        )
        .layer(
            SessionLayer::new(inner.clone())
                .marked::<Admin>()
                .cookie_name("admin".parse().unwrap()),
        )
        .layer(SessionLayer::new(outer.clone()));
    let mut browser = Server::start(routes).await.browser();
    browser.post("/begin").await;
    let answer = browser.post("/act").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.cookie("__Host-admin").is_some(),
        "the admin cookie is lost"
    );
}

/// M8: a failed commit makes no further store call.
#[tokio::test]
async fn a_failed_commit_is_the_last_store_call() {
    let store = Spy::new();
    let act = {
        let store = store.clone();
        async move |session: Session| -> Result<()> {
            store.fail(true);
            session.insert("a", "2")
        }
    };
    let routes = routes().route("/act", post(act));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.clock.advance(5 * MINUTE);
    store.calls();
    assert_eq!(browser.post("/act").await.status, 503);
    assert_eq!(store.calls(), ["load", "save"]);
}

/// M10: browsers keep no cookie longer than 400 days, so none is made to last longer.
#[tokio::test]
async fn a_cookie_of_a_hundred_years_is_renewed_in_time() {
    let store = Spy::new();
    let layer = SessionLayer::new(store.clone())
        .cookie_age(Lifetime::LIMIT)
        .persistent_absolute(Lifetime::LIMIT);
    let mut browser = Server::with(layer).await.browser();
    browser.post("/set/a/1").await;
    let mut left = Duration::from_secs(browser.post("/remember/true").await.max_age().unwrap());
    for n in 0..100 {
        store.clock.advance(10 * DAY);
        left = left
            .checked_sub(10 * DAY)
            .unwrap_or_else(|| panic!("the browser lost the cookie at visit {n}"));
        if let Some(age) = browser.post(&format!("/set/a/{n}")).await.max_age() {
            left = Duration::from_secs(age);
        }
    }
}

/// M10: a session that is saved after each response keeps its cookie all the same.
#[tokio::test]
async fn saves_after_the_response_do_not_let_the_cookie_run_out() {
    let store = Spy::new();
    let (report, mut reports) = mpsc::unbounded_channel();
    let stream = async move |session: Session| {
        tokio::spawn(async move {
            // the response head leaves first
            tokio::time::sleep(Duration::from_millis(5)).await;
            session
                .update("n", |n: Option<u32>| n.unwrap_or(0) + 1)
                .unwrap();
            report.send(session.commit().await.unwrap()).unwrap();
        });
    };
    let routes = routes().route("/stream", get(stream));
    let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
        .await
        .browser();
    browser.post("/set/a/1").await;
    let mut left = Duration::from_secs(browser.post("/remember/true").await.max_age().unwrap());
    for n in 0..400 {
        store.clock.advance(60 * MINUTE);
        left = left
            .checked_sub(60 * MINUTE)
            .unwrap_or_else(|| panic!("the browser lost the cookie at visit {n}"));
        if let Some(age) = browser.get("/stream").await.max_age() {
            left = Duration::from_secs(age);
        }
        assert_eq!(reports.recv().await.unwrap(), Committed::Saved);
    }
}

/// M15: a commit of what a degraded session was asked for does not say that all is well.
#[tokio::test]
async fn a_degraded_commit_is_an_error() {
    let store = Spy::new();
    let act = async |session: Session| {
        session.clear();
        let committed = session.commit().await;
        println!("committed={committed:?}");
        committed.is_err().to_string()
    };
    let seen = Arc::new(Mutex::new(None));
    let act = {
        let seen = Arc::clone(&seen);
        async move |session: Session| {
            *seen.lock().unwrap() = Some(act(session).await);
        }
    };
    let routes = routes().route("/act", post(act));
    let layer = SessionLayer::new(store.clone()).on_outage(Outage::Degrade);
    let mut browser = Server::start(routes.layer(layer)).await.browser();
    browser.post("/set/a/1").await;
    store.fail(true);
    browser.post("/act").await;
    assert_eq!(seen.lock().unwrap().as_deref(), Some("true"));
}

/// M19: a layer inside one of the same name does nothing, with another in between too.
#[tokio::test]
async fn a_layer_nested_twice_does_nothing() {
    let stores = [Spy::new(), Spy::new(), Spy::new()];
    let routes = routes()
        .layer(SessionLayer::new(stores[2].clone()))
        .layer(SessionLayer::new(stores[1].clone()).cookie_name("b".parse().unwrap()))
        .layer(SessionLayer::new(stores[0].clone()));
    let mut browser = Server::start(routes).await.browser();
    browser.post("/set/a/1").await;
    let mut found = Vec::new();
    for store in &stores {
        found.push(store.records().await);
    }
    assert_eq!(
        found[2], 0,
        "the innermost has the outermost's name: {found:?}"
    );
}

/// M4: the closure of an update may change another key.
#[tokio::test]
async fn an_update_may_change_another_key() {
    let store = Spy::new();
    let calls = Arc::new(AtomicU32::new(0));
    let act = {
        let calls = Arc::clone(&calls);
        async move |session: Session| -> Result<()> {
            let (other, calls) = (session.clone(), Arc::clone(&calls));
            session.update("n", move |n: Option<u32>| {
                let n = n.unwrap_or(0) + 1;
                assert!(
                    calls.fetch_add(1, SeqCst) < 100_000,
                    "the closure ran 100,000 times"
                );
                other.insert("last", &n).unwrap();
                n
            })?;
            Ok(())
        }
    };
    let routes = routes().route("/act", post(act));
    let browser = Server::start(routes.layer(SessionLayer::new(store)))
        .await
        .browser();
    let mut browser = browser.clone();
    assert_eq!(browser.post("/act").await.status, 200);
}

/// A clock near the last instant that can be expressed is no panic.
#[tokio::test]
async fn a_clock_at_the_end_of_time_is_no_panic() {
    let store = Spy::new();
    store
        .clock
        .set_wall(cloakroom::store::Timestamp::from_millis(
            253_402_300_799_999 - 60_000,
        ));
    let mut browser = Server::with(SessionLayer::new(store.clone()))
        .await
        .browser();
    browser.post("/set/a/1").await;
    store.clock.advance(Duration::from_secs(30));
    assert_eq!(browser.get("/get/a").await.body, "1");
}
