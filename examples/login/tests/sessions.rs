//! What is kept in a session, and how long.

use std::{
    thread::{self, sleep},
    time::Duration,
};

use serde_json::json;

use crate::{
    browser::{COOKIE, assert_near},
    server::Server,
};

#[test]
fn without_a_session_there_is_nobody() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    assert_eq!(browser.get("/").status, 200);
    let nobody = json!({
        "user": null, "persistence": null, "expires_at": null,
        "remaining_seconds": null, "session_id": null,
    });
    assert_eq!(browser.whoami(), nobody);
    assert_eq!(browser.post("/logout", &[]).status, 303);
    assert_eq!(browser.post("/remember", &[("remember", "on")]).status, 303);
    assert_eq!(browser.whoami(), nobody);
    assert!(browser.cookies.is_empty());
}

#[test]
fn a_note_needs_no_sign_in_and_survives_it() {
    let server = Server::start(&[]);
    server.browser().sign_up("ada");
    let mut browser = server.browser();
    let note = "\n<b>umbrella</b> & hat";
    assert_eq!(
        browser.post("/note", &[("note", note)]).redirect(),
        (303, "/")
    );
    let session = browser.whoami();
    assert_eq!(session["user"], json!(null));
    assert_eq!(session["persistence"], "browser");
    let shown = "\n\n&lt;b&gt;umbrella&lt;/b&gt; &amp; hat</textarea>";
    assert!(browser.get("/").body.contains(shown));

    let before = browser.cookies[COOKIE].clone();
    browser.log_in("ada", &[]);
    assert_ne!(browser.cookies[COOKIE], before, "signing in changes the id");
    assert!(browser.get("/").body.contains(shown));

    assert_eq!(browser.post("/note", &[("note", "")]).status, 303);
    assert!(!browser.get("/").body.contains("umbrella"));
}

#[test]
fn a_note_has_a_limit() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    let longest = "\r\n".repeat(4000);
    assert_eq!(browser.post("/note", &[("note", &longest)]).status, 303);
    let answer = browser.post("/note", &[("note", &"x".repeat(4001))]);
    assert_eq!(answer.status, 422);
    let answer = browser.post("/note", &[("note", &"x".repeat(100_000))]);
    assert_eq!(answer.status, 413);
    assert_eq!(browser.post("/note", &[]).status, 422);
}

#[test]
fn visits_are_counted_for_who_is_signed_in() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    assert_eq!(browser.get("/").visits(), None);
    browser.sign_up("ada");
    for visit in 1..=3 {
        assert_eq!(browser.get("/").visits(), Some(visit));
    }
}

#[test]
fn visits_at_once_each_have_a_number_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path());
    let mut browser = server.browser();
    browser.sign_up("ada");
    let mut visits: Vec<_> = thread::scope(|scope| {
        let one = || browser.clone().get("/").visits().unwrap();
        let all = [(); 32].map(|()| scope.spawn(one));
        all.map(|one| one.join().unwrap()).to_vec()
    });
    visits.sort_unstable();
    println!("requests=32 visits={}", visits.len());
    assert_eq!(visits, Vec::from_iter(1..=32));
    assert_eq!(browser.get("/").visits(), Some(33));
}

#[test]
fn remember_changes_cookie_and_expiry_both_ways() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    browser.sign_up("ada");
    let id = browser.whoami()["session_id"].clone();
    assert_eq!(id.as_str().unwrap().len(), 32);

    let answer = browser.post("/remember", &[("remember", "on")]);
    assert_eq!(answer.redirect(), (303, "/"));
    assert!(answer.session_cookie().unwrap().contains("Max-Age=1209600"));
    let session = browser.whoami();
    assert_eq!(session["persistence"], "persistent");
    assert_near(&session["remaining_seconds"], 14 * 24 * 60 * 60);
    assert!(session["expires_at"].as_str().unwrap().ends_with('Z'));
    assert!(browser.get("/").body.contains("name=\"remember\" checked"));

    let answer = browser.post("/remember", &[]);
    assert!(!answer.session_cookie().unwrap().contains("Max-Age"));
    let session = browser.whoami();
    assert_eq!(session["persistence"], "browser");
    assert_near(&session["remaining_seconds"], 30 * 60);
    assert_eq!(session["session_id"], id);
}

#[test]
fn my_sessions_are_listed_and_the_others_can_be_ended() {
    let server = Server::start(&[]);
    let (mut here, mut there) = (server.browser(), server.browser());
    here.sign_up("ada");
    there.log_in("ada", &[("remember", "on")]);
    let mut grace = server.browser();
    grace.sign_up("grace");

    let page = here.get("/sessions").body;
    assert_eq!(page.matches("This one").count(), 1);
    assert_eq!(page.matches("<dt>Expires</dt>").count(), 2);
    for (browser, kind) in [(&mut here, "browser-length"), (&mut there, "persistent")] {
        let id = browser.whoami()["session_id"].as_str().unwrap().to_owned();
        assert!(page.contains(&id) && page.contains(kind), "{kind}");
    }

    let answer = here.post("/sessions/end-others", &[]);
    assert_eq!(answer.redirect(), (303, "/sessions"));
    assert_eq!(here.user().as_deref(), Some("ada"));
    assert_eq!(there.user(), None);
    assert_eq!(grace.user().as_deref(), Some("grace"));
    let page = here.get("/sessions").body;
    assert_eq!(page.matches("<dt>Expires</dt>").count(), 1);
}

#[test]
fn who_is_signed_out_is_asked_to_sign_in_first() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    browser.post("/note", &[("note", "umbrella")]);
    let asked = (303, "/login?next=/sessions");
    assert_eq!(browser.get("/sessions").redirect(), asked);
    assert_eq!(browser.post("/sessions/end-others", &[]).redirect(), asked);
    let form = browser.get(asked.1).body;
    assert!(form.contains("name=\"next\" value=\"/sessions\""));
}

#[test]
fn an_idle_session_ends_though_its_cookie_is_sent() {
    let server = Server::start(&["--browser-idle", "200ms"]);
    let mut browser = server.browser();
    browser.sign_up("ada");
    sleep(Duration::from_millis(300));
    assert!(browser.cookies.contains_key(COOKIE));
    assert_eq!(browser.user(), None);
}

#[test]
fn a_busy_session_ends_at_its_age() {
    let server = Server::start(&["--persistent-absolute", "300ms"]);
    server.browser().sign_up("ada");
    let mut browser = server.browser();
    let answer = browser.log_in("ada", &[("remember", "on")]);
    assert_eq!(answer.redirect(), (303, "/"));
    assert!(answer.session_cookie().is_some());
    for _ in 0..10 {
        browser.get("/");
        sleep(Duration::from_millis(40));
    }
    assert_eq!(browser.user(), None);
}
