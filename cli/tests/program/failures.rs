//! One sentence on stderr that says what to do, nothing on stdout, and the right exit code.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use cloakroom_store_sled::SledStore;

use crate::support::{Ran, Table, folder, program, run, server};

/// Runs it and expects it to fail so.
fn fails(arguments: &[&str], code: i32, words: &str) {
    let ran = run(arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    assert_eq!(ran.stdout, "", "{arguments:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{arguments:?}: {ran:?}");
    assert!(ran.stderr.starts_with("cloakroom: "), "{ran:?}");
    assert!(ran.stderr.contains(words), "{words:?} in {ran:?}");
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    for (arguments, words) in [
        (&[][..], "subcommand"),
        (&["sweep"], "CLOAKROOM_STORE"),
        (&["sweap"], "sweep"),
        (&["sweep", "--bath", "5"], "--batch"),
        (&["sweep", "--batch"], "--batch"),
        (&["sweep", "--batch", "0"], "at least 1"),
        (&["sweep", "--max-batches", "0"], "at least 1"),
        (&["sweep", "--pause", "5"], "--pause"),
        (
            &["sweep", "--store", "mysql://u:hunter2@h/d"],
            "unknown store scheme",
        ),
        (&["sweep", "--store", "hunter2"], "begins with its scheme"),
        (
            &["sweep", "postgres://u:hunter2@h/d"],
            "unexpected argument",
        ),
        (&["sweep", "--pause=postgres://u:hunter2@h/d"], "'URL'"),
        (&["sweep", "--store", "sled:"], "folder"),
        (&["sweep", "--store", "sled:/x", "--table", "t"], "--table"),
        (
            &["sweep", "--store", "postgres://h/d", "--table", "a.b.c"],
            "--table",
        ),
        (
            &["sweep", "--store", "memory:"],
            "its application's process",
        ),
        (&["show", "not-an-id", "--store", "sled:/x"], "not-an-id"),
        (&["revoke", "--yes", "--store", "sled:/x"], "--owner"),
        (&["revoke", "--owner", "ann", "--store", "sled:/x"], "--yes"),
        (&["bench", "--mix", "sing=1", "--store", "sled:/x"], "sing"),
    ] {
        fails(arguments, 64, words);
    }
}

#[test]
fn what_is_not_utf_8_exits_with_64() {
    let url = OsStr::from_bytes(b"postgres://u:hunter2\xf6@127.0.0.1:1/d");
    let name = OsStr::from_bytes(b"J\xf6rg");
    for arguments in [
        ["list", "--owner"].map(OsStr::new),
        ["stats", "--store"].map(OsStr::new),
    ] {
        for wrong in [name, url] {
            let ran: Ran = program(&[])
                .args(arguments)
                .arg(wrong)
                .output()
                .unwrap()
                .into();
            assert_eq!((ran.code, &*ran.stdout), (Some(64), ""), "{ran:?}");
            assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
            assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        }
    }
}

/// Wherever in the URL it is, and whatever is in it.
#[test]
fn no_part_of_a_password_is_shown() {
    for store in [
        "postgres://u:hunter2@127.0.0.1:1/d",
        "postgres://127.0.0.1:1/d?user=u&password=hunt@er2",
        "postgres://127.0.0.1:1/d?password=hunt@er2/x",
        "postgres://127.0.0.1:2/er2@127.0.0.1:1/d",
        "postgres://127.0.0.1:2?er2@127.0.0.1:1/d",
        "redis://u:hunter2@127.0.0.1:1/0",
        "redis+cluster://u:hunter2@127.0.0.1:1",
        "redis+sentinel://u:hunter2@127.0.0.1:1/main",
        "unix:///no/such/socket?user=u&pass=hunt@er2",
        "unix:///no/such/socket?user=u&pass=hunter2",
    ] {
        let ran = run(&["stats", "--deadline", "2s", "--store", store]);
        assert_eq!(ran.code, Some(69), "{store}: {ran:?}");
        for part in ["hunt", "er2", "127.0.0.1:2"] {
            assert!(!ran.stderr.contains(part), "{store}: {ran:?}");
        }
    }
}

#[test]
fn a_store_that_cannot_be_reached_exits_with_69() {
    let nobody = "postgres://u:hunter2@127.0.0.1:1/d?application_name=hunter2";
    for command in ["sweep", "stats", "migrate", "check", "bench"] {
        fails(
            &[command, "--store", nobody],
            69,
            "127.0.0.1:1 cannot be reached",
        );
    }
    fails(
        &["sweep", "--store", "sled:/no/such/folder"],
        69,
        "check the path",
    );
    let by_environment = program(&["stats"])
        .env("CLOAKROOM_STORE", nobody)
        .output()
        .unwrap();
    assert_eq!(by_environment.status.code(), Some(69));
}

/// A server that takes connections and never answers.
#[tokio::test]
async fn a_server_that_does_not_answer_hangs_nobody() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u@{}/d", silent.local_addr().unwrap());
    fails(
        &["sweep", "--store", &url, "--deadline", "50ms"],
        69,
        "no answer within",
    );
}

#[tokio::test]
async fn what_the_server_refuses_exits_with_70() {
    let (user, host) = server().split_once("://").map_or_else(
        || panic!("the URL has a scheme"),
        |(_, rest)| {
            let (user, host) = rest.rsplit_once('@').unwrap();
            let user = user.split(':').next().unwrap();
            (user.to_owned(), host.to_owned())
        },
    );
    let wrong = format!("postgres://{user}:hunter2@{host}");
    fails(&["sweep", "--store", &wrong], 70, "password");
    fails(
        &["sweep", "--store", &server(), "--table", "no_such_table"],
        70,
        "cloakroom migrate",
    );
    let nobody = "00000000000000000000000000000000";
    let (_folder, url) = folder(0, 1).await;
    fails(&["show", nobody, "--store", &url], 70, "no live session");
}

#[tokio::test]
async fn a_folder_in_use_exits_with_75_and_names_the_sweeper_of_its_application() {
    let (_folder, url) = folder(3, 1).await;
    let store = SledStore::open(url.trim_start_matches("sled:")).unwrap();
    for command in ["sweep", "stats"] {
        fails(&[command, "--store", &url], 75, "cloakroom::Sweeper");
    }
    drop(store);
    assert_eq!(run(&["sweep", "--store", &url]).code, Some(0));
}

/// While the sweep runs: what was removed is reported, then the failure.
#[tokio::test]
async fn a_table_that_goes_away_leaves_the_report() {
    let table = Table::new().await;
    table.fill(20_000).await;
    let sweeping = table
        .program(&[
            "sweep", "--batch", "10", "--pause", "20ms", "--format", "json",
        ])
        .spawn()
        .unwrap();
    crate::support::until("the sweep has begun", async || {
        table.counts().await.0 < 20_000
    })
    .await;
    table.store.drop_tables().await.unwrap();
    let swept: Ran = sweeping.wait_with_output().unwrap().into();
    assert_eq!(swept.code, Some(70), "{swept:?}");
    assert!(swept.object()["removed"].as_u64().unwrap() >= 10);
    assert_eq!(swept.object()["stopped"], "error");
    assert_eq!(swept.stderr.lines().count(), 1, "{swept:?}");
}
