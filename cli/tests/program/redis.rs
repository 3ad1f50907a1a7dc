//! What is different in Redis: nothing to sweep, and prefixes instead of tables.

use std::env;

use cloakroom_store_api::{Lifetime, Record, SessionStore, SessionToken};
use cloakroom_store_redis::RedisStore;

use crate::support::{Ran, program, run};

pub(crate) fn server() -> String {
    env::var("CLOAKROOM_TEST_REDIS_URL")
        .expect("CLOAKROOM_TEST_REDIS_URL names a server; scripts/with-servers sets it")
}

fn run_there(arguments: &[&str]) -> Ran {
    let mut command = program(arguments);
    command.env("CLOAKROOM_STORE", server());
    command.output().unwrap().into()
}

/// A store of a test's own, and its prefix.
async fn store() -> (RedisStore, String) {
    let prefix = format!("program-{:032x}:", fastrand::u128(..));
    let builder = RedisStore::builder(&server()).prefix(prefix.parse().unwrap());
    (builder.connect().await.unwrap(), prefix)
}

#[test]
fn a_sweep_has_nothing_to_do() {
    let swept = run_there(&["sweep"]);
    assert_eq!(swept.code, Some(0), "{swept:?}");
    assert!(swept.stdout.contains("by itself"), "{swept:?}");
    let swept = run_there(&["sweep", "--format", "json"]);
    assert_eq!(swept.object()["removed"], 0);
    assert_eq!(swept.object()["more"], false);
}

#[tokio::test]
async fn sessions_are_listed_counted_and_ended() {
    let (store, prefix) = store().await;
    for owner in ["ann", "ann", "bob"] {
        let id = SessionToken::generate().unwrap().id();
        let record = Record {
            owner: Some(owner.parse().unwrap()),
            ..Record::new(id, Lifetime::BROWSER)
        };
        let _ = store.save(&record).await.unwrap();
    }
    let there = |arguments: &[&str]| run_there(&[arguments, &["--prefix", &prefix]].concat());
    let stats = there(&["stats", "--format", "json"]);
    assert_eq!(stats.object()["browser"], 3, "{stats:?}");
    let listed = there(&["list", "--owner", "ann", "--format", "json"]);
    assert_eq!(listed.stdout.lines().count(), 2, "{listed:?}");
    let ended = there(&["revoke", "--owner", "ann", "--yes", "--format", "json"]);
    assert_eq!(ended.object()["ended"], 2, "{ended:?}");
    let stats = there(&["stats", "--format", "json"]);
    assert_eq!(stats.object()["browser"], 1, "{stats:?}");
    store.clear().await.unwrap();
    let stats = there(&["stats", "--format", "json"]);
    assert_eq!(stats.object()["browser"], 0, "{stats:?}");
}

/// Over TLS, by a certificate of an authority that the system trusts.
#[test]
fn a_url_with_tls_needs_no_more_where_the_system_trusts_the_server() {
    let [server, authority] = [
        "CLOAKROOM_TEST_REDIS_TLS_URL",
        "CLOAKROOM_TEST_REDIS_TLS_CA",
    ]
    .map(|it| env::var(it).unwrap());
    let prefix = format!("program-{:032x}:", fastrand::u128(..));
    let counted = |trusted: bool| -> Ran {
        let arguments = [
            "stats", "--format", "json", "--prefix", &prefix, "--store", &server,
        ];
        let mut command = program(&arguments);
        if trusted {
            command.env("SSL_CERT_FILE", &authority);
        }
        command.output().unwrap().into()
    };
    assert_eq!(counted(true).object()["browser"], 0);
    let refused = counted(false);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    assert!(refused.stderr.contains("certificate"), "{refused:?}");
}

/// A database of a test's own.
pub(crate) struct Database(pub(crate) String);

impl Database {
    pub(crate) fn new(number: u8) -> Self {
        Self(format!("{}/{number}", server().trim_end_matches('/')))
    }

    pub(crate) async fn keys(&self) -> u64 {
        let client = redis::Client::open(&*self.0).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let count = redis::cmd("DBSIZE").query_async(&mut connection).await;
        count.unwrap()
    }
}

#[tokio::test]
async fn redis_passes_and_nothing_is_left() {
    let database = Database::new(1);
    let before = database.keys().await;
    let checked = run(&["check", "--rounds", "10", "--store", &database.0]);
    assert_eq!(database.keys().await, before);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let right = checked
        .stdout
        .lines()
        .filter(|line| line.starts_with("ok "));
    let right = right.count();
    println!("behaviours={right}");
    assert!(right >= 62);
}

#[test]
fn a_flag_of_another_store_is_refused() {
    let refused = run_there(&["stats", "--table", "sessions"]);
    assert_eq!(refused.code, Some(64), "{refused:?}");
    let refused = run(&["stats", "--store", "sled:nowhere", "--prefix", "a:"]);
    assert_eq!(refused.code, Some(64), "{refused:?}");
    assert!(refused.stderr.contains("--prefix"), "{refused:?}");
}

#[test]
fn a_server_that_is_not_there_is_said_in_one_line_without_the_password() {
    let refused = run(&["stats", "--store", "redis://:hunter2@127.0.0.1:1"]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
}
