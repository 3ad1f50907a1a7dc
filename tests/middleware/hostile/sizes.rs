use std::sync::Arc;

use axum::{extract::Path, routing::post};
use cloakroom::{Result, Session, SessionLayer};
use cloakroom_test_support::rounds;
use tokio::sync::Barrier;

use super::{ask, body, set_cookie};
use crate::support::{COOKIE, Spy, routes};

/// M16: two requests whose changes fit each by itself, and not together: one is stored, the other
/// is a 500, and the session goes on.
#[tokio::test]
async fn changes_that_fit_only_apart_are_refused_together() {
    let store = Spy::new();
    let both = Arc::new(Barrier::new(2));
    let fill = async move |session: Session, Path(key): Path<String>| -> Result<()> {
        session.insert(&key, &"x".repeat(40_000))?;
        both.wait().await;
        Ok(())
    };
    let application = routes()
        .route("/fill/{key}", post(fill))
        .layer(SessionLayer::new(store.clone()));
    let rounds = rounds(50);
    let mut refused = 0;
    for _ in 0..rounds {
        let signed_in = ask(&application, "POST", "/set/note/kept", None).await;
        let cookie = format!("{COOKIE}={}", set_cookie(&signed_in).unwrap());
        let (a, b) = tokio::join!(
            ask(&application, "POST", "/fill/a", Some(&cookie)),
            ask(&application, "POST", "/fill/b", Some(&cookie)),
        );
        let mut statuses = [a.status().as_u16(), b.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 500]);
        refused += 1;
        let stored = if a.status() == 200 { "a" } else { "b" };
        let keys = body(ask(&application, "GET", "/keys", Some(&cookie)).await).await;
        assert_eq!(keys, format!("{stored},note").replace("note,a", "a,note"));
    }
    println!("rounds={rounds} refused={refused}");
}

/// M16: whoever stuffs a session finds an end, and it is the session's, not the server's.
#[tokio::test]
async fn a_session_is_stuffed_up_to_its_limit_and_goes_on() {
    let store = Spy::new();
    let application = routes().layer(SessionLayer::new(store.clone()));
    let first = ask(&application, "POST", "/set/note/kept", None).await;
    let cookie = format!("{COOKIE}={}", set_cookie(&first).unwrap());
    let value = "x".repeat(1_000);
    let (mut stored, mut refused) = (0, 0);
    for n in 0..100 {
        let path = format!("/set/key-{n}/{value}");
        match ask(&application, "POST", &path, Some(&cookie))
            .await
            .status()
            .as_u16()
        {
            200 => stored += 1,
            500 => refused += 1,
            other => panic!("{other}"),
        }
    }
    let loaded = ask(&application, "GET", "/get/note", Some(&cookie)).await;
    assert_eq!(body(loaded).await, "kept");
    let removed = ask(&application, "POST", "/clear", Some(&cookie)).await;
    assert_eq!(removed.status(), 200);
    let again = ask(&application, "POST", "/set/a/1", Some(&cookie)).await;
    println!("stored={stored} refused={refused}");
    assert_eq!((stored + refused, again.status().as_u16()), (100, 200));
    assert!((60..=64).contains(&stored), "64 KiB hold 60 to 64 of these");
}
