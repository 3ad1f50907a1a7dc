use std::panic::resume_unwind;

use axum::{extract::Path, http::StatusCode, routing::post};
use cloakroom::{Result, Session, SessionLayer};
use cloakroom_test_support::rounds;
use tokio::task::JoinSet;

use super::{ask, body, set_cookie};
use crate::support::{COOKIE, Spy, routes};

/// M4, M7: among handlers that panic and fail, what is stored is exactly what the others did.
#[tokio::test]
async fn handlers_that_fail_and_panic_cost_the_others_nothing() {
    let store = Spy::new();
    let count = async |session: Session, Path(status): Path<u16>| -> Result<StatusCode> {
        session.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
        tokio::task::yield_now().await;
        match StatusCode::from_u16(status) {
            Ok(status) => Ok(status),
            // Unlike `panic!` it prints nothing.
            Err(_) => resume_unwind(Box::new("as asked")),
        }
    };
    let application = routes()
        .route("/count-and/{status}", post(count))
        .layer(SessionLayer::new(store.clone()));
    let first = ask(&application, "POST", "/set/note/kept", None).await;
    let cookie = format!("{COOKIE}={}", set_cookie(&first).unwrap());
    let rounds = rounds(50);
    let (mut succeeded, mut failed, mut panicked) = (0, 0, 0);
    for _ in 0..rounds {
        let mut requests = JoinSet::new();
        for status in [200, 404, 500, 503, 0, 303, 0, 200] {
            let (application, cookie) = (application.clone(), cookie.clone());
            requests.spawn(async move {
                let path = format!("/count-and/{status}");
                ask(&application, "POST", &path, Some(&cookie)).await
            });
        }
        while let Some(answer) = requests.join_next().await {
            match answer {
                Ok(answer) if answer.status().is_server_error() => failed += 1,
                Ok(_) => succeeded += 1,
                Err(_) => panicked += 1,
            }
        }
    }
    let stored = body(ask(&application, "POST", "/count/n", Some(&cookie)).await).await;
    let stored = stored.parse::<u32>().unwrap() - 1;
    println!("succeeded={succeeded} failed={failed} panicked={panicked} stored={stored}");
    assert_eq!((failed, panicked), (2 * rounds, 2 * rounds));
    assert_eq!((succeeded, stored), (4 * rounds, 4 * rounds));
}
