//! What an operator looks at and ends.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Command, Stdio},
};

use cloakroom_store_api::{Data, Record, Saved, SessionStore};

use crate::support::{Ran, Table, folder, run, stored};

#[tokio::test]
async fn a_users_sessions_are_listed_newest_first() {
    let table = Table::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, stored(&table.store, Some("ann")).await.id.to_string());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    stored(&table.store, Some("anna")).await;
    let listed = table.run(&["list", "--owner", "ann", "--format", "json"]);
    let listed: Vec<serde_json::Value> = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found: Vec<_> = listed.iter().map(|session| session["id"].clone()).collect();
    assert_eq!(found, ids);
    assert_eq!(listed[0]["persistence"], "browser");
    let text = table.run(&["list", "--owner", "ann"]);
    assert_eq!(text.stdout.lines().count(), 4);
    assert!(ids.iter().all(|id| text.stdout.contains(id)));
    table.store.drop_tables().await.unwrap();
}

#[tokio::test]
async fn entries_are_shown_only_when_asked_for() {
    let table = Table::new().await;
    let record = stored(&table.store, Some("ann")).await;
    let record = Record {
        data: Data::new(&BTreeMap::from([("card", "\"visa 4111\"")])).unwrap(),
        ..record
    };
    assert!(matches!(
        table.store.save(&record).await,
        Ok(Saved::Stored(_))
    ));
    let id = record.id.to_string();
    for format in ["text", "json"] {
        let shown = table.run(&["show", &id, "--format", format]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(shown.stdout.contains("ann") && !shown.stdout.contains("visa 4111"));
        let shown = table.run(&["show", &id, "--data", "--format", format]);
        assert!(shown.stdout.contains("card") && shown.stdout.contains("visa 4111"));
    }
    table.store.drop_tables().await.unwrap();
}

#[tokio::test]
async fn sessions_are_ended_by_id_and_by_user() {
    let table = Table::new().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(stored(&table.store, Some("ann")).await.id.to_string());
    }
    let other = stored(&table.store, Some("bob")).await.id;
    let left = async || table.store.list("ann").await.unwrap().len();

    let unasked = table.run(&["revoke", &ids[0]]);
    assert_eq!((unasked.code, left().await), (Some(64), 4), "{unasked:?}");
    for expected in ["true", "false"] {
        let ended = table.run(&["revoke", "--yes", &ids[0], "--format", "json"]);
        assert_eq!(ended.object()["was_live"].to_string(), expected);
    }
    let ended = table.run(&["revoke", "--yes", "--owner", "ann", "--except", &ids[1]]);
    assert_eq!(ended.stdout, "ended 2 sessions\n");
    assert_eq!(left().await, 1);
    let ended = table.run(&["revoke", "--yes", "--owner", "ann", "--format", "json"]);
    assert_eq!(ended.object()["ended"], 1);
    assert_eq!(left().await, 0);
    assert!(table.store.load(other).await.unwrap().is_some());
    table.store.drop_tables().await.unwrap();
}

/// Who is asked at a terminal says no: that is no part of a report.
#[tokio::test]
async fn a_no_ends_nothing_and_leaves_stdout_empty() {
    let (folder, url) = folder(0, 1).await;
    let report = folder.path().join("report");
    for format in ["text", "json"] {
        let command = format!(
            "'{}' revoke --owner ann --store '{url}' --format {format} >'{}'",
            env!("CARGO_BIN_EXE_cloakroom"),
            report.display()
        );
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        let mut asked = terminal
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        asked.stdin.take().unwrap().write_all(b"n\n").unwrap();
        let ran: Ran = asked.wait_with_output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("End 1 sessions of ann?"), "{ran:?}");
        assert!(ran.stdout.contains("nothing was ended"), "{ran:?}");
        assert_eq!(fs::read_to_string(&report).unwrap(), "", "{format}");
    }
    let listed = run(&[
        "list", "--owner", "ann", "--store", &url, "--format", "json",
    ]);
    assert_eq!(listed.stdout.lines().count(), 1, "{listed:?}");
}

#[tokio::test]
async fn a_migration_makes_the_table_or_prints_how() {
    let table = Table::new().await;
    table.store.drop_tables().await.unwrap();
    assert_eq!(table.run(&["stats"]).code, Some(70));
    for _ in 0..2 {
        assert_eq!(table.run(&["migrate"]).code, Some(0));
    }
    assert_eq!(table.run(&["stats"]).code, Some(0));
    table.store.drop_tables().await.unwrap();
    let printed = run(&["migrate", "--print", "--table", "auth.sessions"]);
    assert_eq!(printed.code, Some(0), "it needs no store: {printed:?}");
    assert!(
        printed
            .stdout
            .contains(r#"create table if not exists "auth"."sessions""#)
    );
}

#[test]
fn every_command_explains_itself() {
    let help = run(&["--help"]);
    assert_eq!((help.code, &*help.stderr), (Some(0), ""));
    let commands = [
        "sweep",
        "stats",
        "list",
        "show",
        "revoke",
        "migrate",
        "check",
        "bench",
        "completions",
    ];
    for command in commands {
        assert!(
            help.stdout.contains(&format!("\n  {command} ")),
            "{command}"
        );
        let own = run(&[command, "--help"]);
        assert_eq!(own.code, Some(0));
        assert!(
            own.stdout.contains(&format!("Usage: cloakroom {command}")),
            "{own:?}"
        );
    }
    let secret = crate::support::program(&["sweep", "--help"])
        .env("CLOAKROOM_STORE", "postgres://u:hunter2@h/d")
        .output()
        .unwrap();
    assert!(
        !String::from_utf8(secret.stdout)
            .unwrap()
            .contains("hunter2")
    );
    let man = run(&["man"]);
    assert!(man.stdout.contains(".TH") && man.stdout.contains("max\\-batches"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).stdout.contains("max-batches"));
    }
}
