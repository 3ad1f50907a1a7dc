//! `check` and `bench`, which leave nothing behind.

use std::fs;

use sqlx::{Connection, PgConnection};

use crate::support::{program, run, server};

/// How many tables a schema has.
pub(crate) async fn tables(schema: &str) -> i64 {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    sqlx::query_scalar("select count(*) from pg_tables where schemaname = $1")
        .bind(schema)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

/// A schema of a test's own.
pub(crate) async fn schema() -> String {
    let name = format!("trial_{:016x}", fastrand::u64(..));
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("create schema {name}"));
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    name
}

#[tokio::test]
async fn postgres_passes_and_nothing_is_left() {
    let schema = schema().await;
    let checked = program(&[
        "check",
        "--rounds",
        "10",
        "--table",
        &format!("{schema}.sessions"),
    ])
    .env("CLOAKROOM_STORE", server())
    .output()
    .unwrap();
    let stdout = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{stdout}");
    let right = stdout.lines().filter(|line| line.starts_with("ok "));
    let right = right.count();
    println!("behaviours={right}");
    assert!(right >= 62);
    assert!(
        stdout.ends_with(&format!("{right} of {right} are right\n")),
        "{stdout}"
    );
    assert_eq!(tables(&schema).await, 0);
}

#[test]
fn sled_passes_and_nothing_is_left() {
    let parent = tempfile::tempdir().unwrap();
    let url = format!("sled:{}", parent.path().join("sessions").display());
    let checked = run(&[
        "check", "--store", &url, "--rounds", "10", "--format", "json",
    ]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let lines: Vec<serde_json::Value> = checked
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    println!("behaviours={}", lines.len());
    assert!(lines.len() >= 62);
    assert!(lines.iter().all(|line| line["ok"] == true));
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

/// The races have no rounds to find anything in, which the kit refuses to call right.
#[test]
fn a_behaviour_that_is_not_right_is_named_and_fails() {
    let parent = tempfile::tempdir().unwrap();
    let url = format!("sled:{}", parent.path().join("sessions").display());
    let checked = program(&["check", "--store", &url, "--only", "of_many_creators"])
        .env("CLOAKROOM_ROUNDS", "many")
        .output()
        .unwrap();
    let stdout = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(70), "{stdout}");
    assert!(
        stdout.starts_with("FAILED  races::of_many_creators_one_wins: "),
        "{stdout}"
    );
    assert!(stdout.ends_with("0 of 1 are right\n"), "{stdout}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_bench_measures_draws_and_leaves_nothing() {
    let schema = schema().await;
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("latency.svg");
    let benched = program(&[
        "bench",
        "--duration",
        "2s",
        "--concurrency",
        "8",
        "--sessions",
    ])
    .args([
        "100",
        "--format",
        "json",
        "--table",
        &format!("{schema}.s"),
        "--plot",
    ])
    .args([&picture])
    .args(["--mix", "load=4,touch=1,save=1,create=1,rotate=1,end=1"])
    .env("CLOAKROOM_STORE", server())
    .output()
    .unwrap();
    let stdout = String::from_utf8(benched.stdout).unwrap();
    assert_eq!(benched.status.code(), Some(0), "{stdout}");
    let calls: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(calls.len(), 6, "{stdout}");
    for call in &calls {
        assert_eq!(call["errors"], 0);
        assert!(
            call["count"].as_u64().unwrap() > 0 && call["p99"].as_f64() >= call["p50"].as_f64()
        );
    }
    assert_eq!(tables(&schema).await, 0);
    let picture = fs::read_to_string(picture).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("rotate"));
}
