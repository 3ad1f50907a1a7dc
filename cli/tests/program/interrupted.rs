//! `check` and `bench` leave nothing behind when they are told to stop.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Child, Command},
};

use crate::{
    check::{schema, tables},
    redis::Database,
    support::{Ran, program, server, terminate, until},
};

/// What does not come to its end by itself while a test runs, and soon after one that failed.
const TRIALS: [&[&str]; 2] = [
    &["check", "--only", "races::", "--rounds", "1000000"],
    &["bench", "--duration", "5m", "--sessions", "100"],
];

/// Runs it until it is at work, then signals; it has to say that it was stopped, and no more.
async fn interrupted(
    mut command: Command,
    signal: fn(&Child),
    is_at_work: impl AsyncFnMut() -> bool,
) {
    // As a shell does, so that a signal to the group reaches only what this has started.
    let child = command.process_group(0).spawn().unwrap();
    until("it is at work", is_at_work).await;
    signal(&child);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.code, &*ran.stdout), (Some(70), ""), "{ran:?}");
    assert_eq!(ran.stderr, "cloakroom: stopped by a signal; run it again\n");
}

/// As a terminal does on Ctrl-C: to the program and whatever it has started.
fn press_ctrl_c(child: &Child) {
    let mut kill = Command::new("kill");
    kill.args(["-INT", "--", &format!("-{}", child.id())]);
    assert!(kill.status().unwrap().success());
}

const SIGNALS: [fn(&Child); 2] = [terminate, press_ctrl_c];

#[tokio::test]
async fn postgres_keeps_no_table() {
    let schema = schema().await;
    for trial in TRIALS {
        for signal in SIGNALS {
            let mut command = program(trial);
            command
                .args(["--table", &format!("{schema}.sessions")])
                .env("CLOAKROOM_STORE", server());
            interrupted(command, signal, async || tables(&schema).await > 0).await;
            assert_eq!(tables(&schema).await, 0, "{trial:?}");
        }
    }
}

#[tokio::test]
async fn redis_keeps_no_key() {
    let database = Database::new(2);
    let before = database.keys().await;
    for trial in TRIALS {
        for signal in SIGNALS {
            let mut command = program(trial);
            command.env("CLOAKROOM_STORE", &database.0);
            interrupted(command, signal, async || database.keys().await > before).await;
            assert_eq!(database.keys().await, before, "{trial:?}");
        }
    }
}

#[tokio::test]
async fn sled_keeps_no_folder() {
    let parent = tempfile::tempdir().unwrap();
    let url = format!("sled:{}", parent.path().join("sessions").display());
    for trial in TRIALS {
        for signal in SIGNALS {
            let mut command = program(trial);
            command.env("CLOAKROOM_STORE", &url);
            interrupted(command, signal, async || {
                let mut trials = fs::read_dir(parent.path()).unwrap();
                trials.any(|trial| trial.unwrap().path().join("0").join("db").is_file())
            })
            .await;
            assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "{trial:?}");
        }
    }
}
