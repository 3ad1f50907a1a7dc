use axum::{
    Router,
    routing::{get, post},
};
use cloakroom::{Key, Marked, Result, Session, SessionLayer};

use crate::support::{COOKIE, Server, Spy, routes};

struct Admin;

/// M19: two sessions in one application have nothing in common.
#[tokio::test]
async fn two_marked_sessions_live_side_by_side() {
    let (visitors, admins) = (Spy::new(), Spy::new());
    let both = async |session: Session, admin: Marked<Admin>| -> Result<String> {
        session.insert("who", "visitor")?;
        admin.insert("who", "admin")?;
        Ok(String::new())
    };
    let read = async |session: Session, admin: Marked<Admin>| -> Result<String> {
        const WHO: Key<String> = Key::new("who");
        let parts = [session.get(WHO)?, admin.get(WHO)?];
        Ok(parts.map(Option::unwrap_or_default).join(" "))
    };
    let end = async |admin: Marked<Admin>| admin.end().await;
    let routes = Router::new()
        .route("/both", post(both))
        .route("/read", get(read))
        .route("/end-admin", post(end))
        .layer(SessionLayer::new(visitors.clone()))
        .layer(
            SessionLayer::new(admins.clone())
                .marked::<Admin>()
                .cookie_name("admin".parse().unwrap()),
        );
    let mut browser = Server::start(routes).await.browser();
    let answer = browser.post("/both").await;
    assert!(answer.cookie(COOKIE).is_some() && answer.cookie("__Host-admin").is_some());
    assert_eq!(answer.all("vary"), ["Cookie"]);
    assert_eq!(browser.get("/read").await.body, "visitor admin");
    let answer = browser.post("/end-admin").await;
    assert_eq!(answer.all("set-cookie").len(), 1);
    assert_eq!(browser.get("/read").await.body, "visitor ");
    assert_eq!((visitors.records().await, admins.records().await), (1, 0));
}

/// M19: a layer inside another of the same cookie name passes requests through.
#[tokio::test]
async fn a_nested_layer_of_the_same_name_does_nothing() {
    let (outer, inner) = (Spy::new(), Spy::new());
    let routes = routes()
        .layer(SessionLayer::new(inner.clone()))
        .layer(SessionLayer::new(outer.clone()));
    let mut browser = Server::start(routes).await.browser();
    assert!(browser.post("/set/a/1").await.cookie(COOKIE).is_some());
    assert_eq!(browser.get("/get/a").await.body, "1");
    assert_eq!((outer.records().await, inner.records().await), (1, 0));
    assert_eq!(inner.calls(), [""; 0]);
}

/// M19: marked layers too, and then their extractor says what is missing.
#[tokio::test]
async fn a_marked_layer_needs_a_name_of_its_own() {
    for flipped in [false, true] {
        let plain = SessionLayer::new(Spy::new());
        let marked = SessionLayer::new(Spy::new()).marked::<Admin>();
        let routes = Router::new()
            .route("/plain", get(async |_: Session| ()))
            .route("/marked", get(async |_: Marked<Admin>| ()));
        let routes = match flipped {
            false => routes.layer(marked).layer(plain),
            true => routes.layer(plain).layer(marked),
        };
        let mut browser = Server::start(routes).await.browser();
        let statuses = [
            browser.get("/plain").await.status,
            browser.get("/marked").await.status,
        ];
        assert_eq!(statuses, if flipped { [500, 200] } else { [200, 500] });
    }
}

/// Without a layer the extractor's rejection is a 500 that the log explains.
#[tokio::test]
async fn without_a_layer_there_is_no_session() {
    let mut browser = Server::start(routes()).await.browser();
    assert_eq!(browser.get("/get/a").await.status, 500);
    assert_eq!(browser.get("/plain").await.status, 200);
}
