//! Ends that meet rotations: logout wins (M6).

use axum::routing::post;
use cloakroom::{Committed, Result, Session, SessionLayer};

use crate::support::{Gate, Server, Spy, routes};

/// M6: an end that finds its session rotated meanwhile ends it under its new id, however often
/// that changes: logout wins.
#[tokio::test]
async fn an_end_follows_rotations() {
    for more in 0..4 {
        let store = Spy::new();
        let gate = Gate::default();
        let slow = {
            let gate = gate.clone();
            async move |session: Session| -> Result<()> {
                gate.pass().await;
                session.end().await
            }
        };
        let routes = routes().route("/slow", post(slow));
        let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
            .await
            .browser();
        browser.post("/sign-in/ann").await;
        let mut late = browser.clone();
        let slow = tokio::spawn(async move { late.post("/slow").await });
        gate.reached().await;
        browser.post("/rotate").await;
        store.move_on(more);
        gate.open();
        let answer = slow.await.unwrap();
        assert_eq!((answer.status, answer.max_age()), (200, Some(0)));
        assert_eq!(store.records().await, 0, "after {more} more rotations");
    }
}

/// M6: who finds the session moved to another id by somebody else, and then ends it or all others,
/// ends it there too.
#[tokio::test]
async fn what_was_lost_is_ended_all_the_same() {
    for last in ["end", "end_others"] {
        for first in ["rotate", "commit", "reload"] {
            let store = Spy::new();
            let gate = Gate::default();
            let act = {
                let gate = gate.clone();
                async move |session: Session| -> Result<String> {
                    session.insert("late", "1")?;
                    gate.pass().await;
                    match first {
                        "rotate" => session.rotate().await?,
                        "commit" => assert_eq!(session.commit().await?, Committed::Gone),
                        _ => assert!(!session.reload().await?),
                    }
                    assert!(session.sessions().await?.is_empty());
                    if last == "end" {
                        session.end().await?;
                        return Ok("1".into());
                    }
                    Ok(session.end_others().await?.to_string())
                }
            };
            let routes = routes().route("/act", post(act));
            let mut browser = Server::start(routes.layer(SessionLayer::new(store.clone())))
                .await
                .browser();
            browser.post("/sign-in/ann").await;
            let mut other = browser.clone();
            let act = tokio::spawn(async move { other.post("/act").await });
            gate.reached().await;
            browser.post("/rotate").await;
            gate.open();
            let answer = act.await.unwrap();
            let left = store.records().await;
            println!(
                "first={first} last={last} ended={} left={left}",
                answer.body
            );
            assert_eq!((answer.status, &*answer.body, left), (200, "1", 0));
        }
    }
}
