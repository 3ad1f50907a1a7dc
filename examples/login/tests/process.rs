//! Starting and ending: what survives, and what is said when it cannot start.

use std::{io::Write, net::TcpStream, path::Path, time::Instant};

use crate::server::{Server, refused, sled};

#[test]
fn users_and_sessions_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder.path());
    let mut short = server.browser();
    short.sign_up("ada");
    let mut long = server.browser();
    long.log_in("ada", &[("remember", "on")]);
    long.post("/note", &[("note", "umbrella")]);
    assert_eq!(server.signal("INT").code(), Some(0));

    let server = Server::start_in(folder.path());
    for (browser, kind) in [(short, "browser"), (long, "persistent")] {
        let mut moved = server.browser();
        moved.cookies = browser.cookies;
        let session = moved.whoami();
        assert_eq!(session["user"], "ada");
        assert_eq!(session["persistence"], kind);
        let note = moved.get("/").body.contains("umbrella");
        assert_eq!(note, kind == "persistent");
    }
    assert_eq!(server.browser().log_in("ada", &[]).status, 303);
}

#[test]
fn what_was_answered_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut survived = 0;
    for round in 0..5 {
        let name = format!("user_{round}");
        let server = Server::start_in(folder.path());
        let mut browser = server.browser();
        assert_eq!(browser.sign_up(&name).status, 303);
        drop(server);

        let server = Server::start_in(folder.path());
        let mut moved = server.browser();
        moved.cookies = browser.cookies;
        assert_eq!(moved.user(), Some(name.clone()));
        assert_eq!(server.browser().log_in(&name, &[]).status, 303);
        survived += 1;
    }
    println!("kills=5 survived={survived}");
}

#[test]
fn an_open_request_does_not_keep_it_from_ending() {
    let server = Server::start(&[]);
    let mut open = TcpStream::connect(server.address()).unwrap();
    open.write_all(b"POST /note HTTP/1.1\r\ncontent-length: 9\r\n")
        .unwrap();
    let begun = Instant::now();
    assert_eq!(server.signal("TERM").code(), Some(0));
    assert!(begun.elapsed().as_secs() < 30);
}

#[test]
fn help_is_an_answer_and_a_bad_flag_is_not() {
    let help = refused(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in [
        "--listen",
        "--store",
        "--users",
        "--browser-idle",
        "--browser-absolute",
        "--cookie-age",
        "--persistent-absolute",
        "--sweep-interval",
        "--plain-http",
    ] {
        assert!(text.contains(flag), "{flag}");
    }
    for flags in [
        &["--nope"][..],
        &["--browser-idle", "soon"],
        &["--cookie-age", "-1d"],
        &["--listen", "nowhere"],
        &["--listen"],
        &["extra"],
    ] {
        let answer = refused(flags);
        assert_eq!(answer.status.code(), Some(64), "{flags:?}");
        assert!(!answer.stderr.is_empty());
    }
}

#[test]
fn a_bad_store_url_is_said_in_one_line() {
    for url in ["nonsense", "foo:bar", "sled:", "memory:x", ""] {
        assert_says(64, &["--store", url], "--store: ");
    }
}

#[test]
fn a_folder_in_use_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start_in(folder.path());
    let sessions = sled(folder.path());
    assert_says(69, &["--store", &sessions], "in use");
    let users = folder.path().join("sessions-users");
    let users = users.to_str().unwrap();
    assert_says(69, &["--store", "memory:", "--users", users], "in use");
}

#[test]
fn a_folder_that_cannot_be_written_is_said_in_one_line() {
    // A file where the folder's parent should be: it stops root too.
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("folder");
    assert_says(70, &["--store", &sled(&inside)], "cannot open");
    let inside = Path::to_str(&inside).unwrap();
    assert_says(
        70,
        &["--store", "memory:", "--users", inside],
        "cannot open",
    );
}

#[test]
fn a_port_in_use_is_said_in_one_line() {
    let server = Server::start(&[]);
    let flags = ["--store", "memory:", "--listen", server.address()];
    assert_says(70, &flags, "Address already in use");
}

fn assert_says(code: i32, flags: &[&str], what: &str) {
    let answer = refused(flags);
    let said = String::from_utf8(answer.stderr).unwrap();
    assert_eq!(answer.status.code(), Some(code), "{flags:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("login: ") && said.contains(what), "{said}");
    assert!(answer.stdout.is_empty());
}
