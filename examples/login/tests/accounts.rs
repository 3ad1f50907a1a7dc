//! Signing up, in and out.

use std::thread;

use crate::{
    browser::{COOKIE, PASSWORD, assert_near},
    server::Server,
};

#[test]
fn signing_up_signs_in_under_the_name_as_it_was_typed() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    assert_eq!(browser.get("/signup").status, 200);
    let answer = browser.sign_up("Ada_1");
    assert_eq!(answer.redirect(), (303, "/"));
    assert_eq!(browser.user().as_deref(), Some("Ada_1"));
    let again = server.browser().log_in("aDA_1", &[]);
    assert_eq!(again.redirect(), (303, "/"), "in whatever letters");
}

#[test]
fn names_and_passwords_have_limits() {
    let server = Server::start(&[]);
    let long = "x".repeat(31);
    for name in ["", "a b", "zoë", "a-b", "<b>", &long] {
        assert_eq!(server.browser().sign_up(name).status, 422, "{name:?}");
    }
    for password in ["", "seven77", &"x".repeat(129), &"ö".repeat(65)] {
        let fields = [("username", "ada"), ("password", password)];
        let answer = server.browser().post("/signup", &fields);
        assert_eq!(answer.status, 422, "{password:?}");
        assert!(answer.body.contains("value=\"ada\""), "the name is kept");
    }
    for (name, password) in [("a", "ö".repeat(4)), (&long[1..], "x".repeat(128))] {
        let fields = [("username", name), ("password", &password)];
        assert_eq!(server.browser().post("/signup", &fields).status, 303);
    }
}

#[test]
fn a_name_is_taken_in_any_letters() {
    let server = Server::start(&[]);
    assert_eq!(server.browser().sign_up("ada").status, 303);
    for name in ["ada", "ADA"] {
        let answer = server.browser().sign_up(name);
        assert_eq!(answer.status, 422);
        assert!(answer.session_cookie().is_none());
    }
}

#[test]
fn of_sign_ups_at_once_one_gets_the_name() {
    for folder in [None, Some(tempfile::tempdir().unwrap())] {
        let server = match &folder {
            Some(folder) => Server::start_in(folder.path()),
            None => Server::start(&[]),
        };
        let mut answers = thread::scope(|scope| {
            let one = || server.browser().sign_up("ada").status;
            let all = [(); 8].map(|()| scope.spawn(one));
            all.map(|one| one.join().unwrap())
        });
        answers.sort_unstable();
        assert_eq!(answers, [303, 422, 422, 422, 422, 422, 422, 422]);
    }
}

#[test]
fn every_failed_sign_in_reads_the_same() {
    let server = Server::start(&[]);
    server.browser().sign_up("ada");
    let refused = |name: &str, password: &str| {
        let mut browser = server.browser();
        browser.get("/login");
        let fields = [("username", name), ("password", password)];
        let answer = browser.post("/login", &fields);
        assert_eq!(answer.status, 401, "{name:?}");
        assert!(answer.session_cookie().is_none());
        answer.body.replace(&format!("value=\"{name}\""), "")
    };
    let wrong = refused("ada", "wrong password");
    assert!(wrong.contains("There is no user of this name and password."));
    for (name, password) in [
        ("grace", PASSWORD),
        ("not a name", PASSWORD),
        ("", ""),
        ("ada", ""),
        ("ada", &"x".repeat(1000)),
    ] {
        assert_eq!(refused(name, password), wrong);
    }
}

#[test]
fn an_unticked_sign_in_dies_with_the_browser() {
    let server = Server::start(&[]);
    server.browser().sign_up("ada");
    let mut browser = server.browser();
    let answer = browser.log_in("ada", &[]);
    let cookie = answer.session_cookie().unwrap();
    for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"));
    let session = browser.whoami();
    assert_eq!(session["persistence"], "browser");
    assert_near(&session["remaining_seconds"], 30 * 60);
}

#[test]
fn a_ticked_sign_in_is_persistent() {
    let server = Server::start(&["--cookie-age", "7d"]);
    server.browser().sign_up("ada");
    let mut browser = server.browser();
    let answer = browser.log_in("ada", &[("remember", "")]);
    let cookie = answer.session_cookie().unwrap();
    assert!(cookie.contains("Max-Age=604800"), "{cookie}");
    let session = browser.whoami();
    assert_eq!(session["persistence"], "persistent");
    assert_near(&session["remaining_seconds"], 604_800);
}

#[test]
fn a_sign_in_without_the_probe_keeps_what_was_typed_but_the_password() {
    let server = Server::start(&[]);
    server.browser().sign_up("ada");
    let mut browser = server.browser();
    let fields = [
        ("username", "ada"),
        ("password", PASSWORD),
        ("remember", "on"),
        ("next", "/sessions"),
    ];
    let answer = browser.post("/login", &fields);
    assert_eq!(answer.status, 400);
    assert!(answer.session_cookie().is_none());
    for kept in [
        "value=\"ada\"",
        "name=\"remember\" checked",
        "value=\"/sessions\"",
        "--plain-http",
    ] {
        assert!(answer.body.contains(kept), "{kept}");
    }
    assert!(!answer.body.contains(PASSWORD));
    let answer = browser.post("/login", &fields);
    assert_eq!(answer.redirect(), (303, "/sessions"), "it was sent again");
}

#[test]
fn plain_http_drops_what_needs_https() {
    let server = Server::start(&["--plain-http"]);
    assert!(server.greeting().contains("--plain-http"));
    let mut browser = server.browser();
    browser.sign_up("ada");
    assert_eq!(browser.user().as_deref(), Some("ada"));
    assert!(!browser.cookies.contains_key(COOKIE));
    let page = server.browser().post("/login", &[]);
    assert_eq!(page.status, 400);
    assert!(!page.body.contains("--plain-http"));
}

#[test]
fn signing_out_ends_the_session_on_the_server() {
    let server = Server::start(&[]);
    let mut browser = server.browser();
    browser.sign_up("ada");
    let mut thief = browser.clone();
    let answer = browser.post("/logout", &[]);
    assert_eq!(answer.redirect(), (303, "/"));
    assert!(answer.session_cookie().unwrap().contains("Max-Age=0"));
    assert_eq!(thief.user(), None);
}
