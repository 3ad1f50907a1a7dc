use std::time::Duration;

use cloakroom::{
    SessionLayer,
    store::{SessionStore, SessionToken},
};
use cloakroom_test_support::rounds;

use super::{ask, body, set_cookie};
use crate::support::{COOKIE, Spy, routes};

/// How a client comes to an id that is no live session here.
#[derive(Clone, Copy, Debug)]
enum Id {
    Chosen,
    Expired,
    Ended,
    Rotated,
    /// It lives, but in another application's store.
    Foreign,
    /// What the store keeps of a live session.
    Stored,
    /// A live session's token, but for its last character.
    Misspelt,
}

const IDS: [Id; 7] = [
    Id::Chosen,
    Id::Expired,
    Id::Ended,
    Id::Rotated,
    Id::Foreign,
    Id::Stored,
    Id::Misspelt,
];

/// M2, M3: whatever the id, reading and ending make no record, and what is stored gets an id of
/// its own.
#[tokio::test]
async fn no_id_of_a_client_is_ever_adopted() {
    let (store, elsewhere) = (Spy::new(), Spy::new());
    let here = routes().layer(SessionLayer::new(store.clone()));
    let there = routes().layer(SessionLayer::new(elsewhere.clone()));
    let victim = sign_in(&here).await;
    let acts = [
        ("GET", "/get/a", false),
        ("GET", "/whoami", false),
        ("POST", "/rotate", false),
        ("POST", "/remember/true", false),
        ("POST", "/remove/a", false),
        ("POST", "/clear", false),
        ("POST", "/end-others", false),
        ("POST", "/set/a/1", true),
        ("POST", "/count/a", true),
        ("POST", "/sign-in/eve", true),
        ("POST", "/end", false),
    ];
    let rounds = rounds(1_000);
    let (mut adopted, mut created, mut shown) = (0, 0, 0);
    for round in 0..rounds {
        let kind = IDS[round as usize % IDS.len()];
        let (method, path, stores) = acts[round as usize / IDS.len() % acts.len()];
        let id = match kind {
            Id::Chosen => SessionToken::generate().unwrap().expose(),
            Id::Expired => expired(&store).await,
            Id::Ended => {
                let token = sign_in(&here).await;
                ask(&here, "POST", "/end", Some(&cookie(&token))).await;
                token
            }
            Id::Rotated => {
                let token = sign_in(&here).await;
                let rotated = ask(&here, "POST", "/rotate", Some(&cookie(&token))).await;
                let now = set_cookie(&rotated).unwrap();
                ask(&here, "POST", "/end", Some(&cookie(&now))).await;
                token
            }
            Id::Foreign => sign_in(&there).await,
            Id::Stored => SessionToken::parse(&victim).unwrap().id().to_string(),
            Id::Misspelt => misspelt(&victim),
        };
        let before = store.records().await;
        let answer = ask(&here, method, path, Some(&cookie(&id))).await;
        let given = set_cookie(&answer);
        shown += u32::from(body(answer).await.contains("ann"));
        if stores {
            let token = SessionToken::parse(given.unwrap()).unwrap();
            adopted += u32::from(token.expose() == id);
            assert!(store.expire(token.id()).await.unwrap(), "{kind:?} {path}");
        }
        if let Some(token) = SessionToken::parse(&id) {
            adopted += u32::from(store.inner.load(token.id()).await.unwrap().is_some());
        }
        created += store.records().await - before;
        let victim = SessionToken::parse(&victim).unwrap().id();
        assert!(store.inner.load(victim).await.unwrap().is_some(), "{path}");
    }
    println!("ids={rounds} adopted={adopted} created={created} shown={shown}");
    assert_eq!((adopted, created, shown), (0, 0, 0));
}

/// M1, M2: whoever only reads makes no record, and costs the store nothing.
#[tokio::test]
async fn visitors_without_a_cookie_leave_nothing() {
    let store = Spy::new();
    let application = routes().layer(SessionLayer::new(store.clone()));
    let rounds = rounds(5_000);
    let mut cookies = 0;
    for round in 0..rounds {
        let path = ["/get/a", "/look", "/keys", "/whoami", "/plain"][round as usize % 5];
        let answer = ask(&application, "GET", path, None).await;
        assert_eq!(answer.status(), 200);
        cookies += u32::from(set_cookie(&answer).is_some());
    }
    let (records, calls) = (store.records().await, store.calls().len());
    println!("requests={rounds} records={records} cookies={cookies} store_calls={calls}");
    assert_eq!((records, cookies, calls), (0, 0, 0));
}

async fn sign_in(application: &axum::Router) -> String {
    set_cookie(&ask(application, "POST", "/sign-in/ann", None).await).unwrap()
}

fn cookie(token: &str) -> String {
    format!("{COOKIE}={token}")
}

/// A session whose time is over; all others live on.
async fn expired(store: &Spy) -> String {
    let idle = Duration::from_millis(1);
    let short = routes().layer(SessionLayer::new(store.clone()).browser_idle(idle));
    let token = sign_in(&short).await;
    store.clock.advance(idle);
    token
}

/// Another token, as near as can be.
fn misspelt(token: &str) -> String {
    let (rest, last) = token.split_at(42);
    // The last character has 4 bits of the token; these differ in the lowest of them.
    let alphabet = "AEIMQUYcgkosw048";
    let at = alphabet.find(last).unwrap();
    format!("{rest}{}", &alphabet[at ^ 1..][..1])
}
