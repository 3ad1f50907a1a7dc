//! Moving in from tower-sessions' table.

use std::{convert::Infallible, time::Duration};

use cloakroom_store_api::{Age, Record, Saved, SessionId, SessionStore, SessionToken};
use cloakroom_tower_sessions::TowerSessionsStore;
use http::{Request, Response, header};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tower::{Layer, ServiceExt, service_fn};
use tower_sessions::{Session, SessionManagerLayer};

use self::old::{Key, Old};
use crate::support::{Ran, Table, program, run, server, terminate, until, until_waiting};

mod old;

fn number(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap()
}

/// What an application on tower-sessions finds under this key in the session of a cookie, and
/// whether the response tells the browser to forget or replace that.
async fn visit(table: &Table, cookie: &str, key: &'static str) -> (Value, bool) {
    let sessions = SessionManagerLayer::new(TowerSessionsStore::new(table.store.clone()));
    let application = sessions.layer(service_fn(async move |request: Request<()>| {
        let session: &Session = request.extensions().get().unwrap();
        let found = session.get_value(key).await.unwrap();
        Ok::<_, Infallible>(Response::new(found.unwrap_or_default().to_string()))
    }));
    let request = Request::builder().header(header::COOKIE, format!("id={cookie}"));
    let response = application
        .oneshot(request.body(()).unwrap())
        .await
        .unwrap();
    let is_set = response.headers().contains_key(header::SET_COOKIE);
    (serde_json::from_str(response.body()).unwrap(), is_set)
}

/// Rows that tower-sessions-sqlx-store itself has written.
#[tokio::test]
async fn old_cookies_go_on_working_under_tower_sessions() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    old.execute(include_str!("tower_sessions.sql")).await;
    let report = old.imported(&table, &["--owner", "/axum-login.data/user_id"]);
    assert_eq!(
        (&report["imported"], &report["expired"]),
        (&3.into(), &1.into())
    );
    assert_eq!(
        (&report["unreadable"], &report["unowned"]),
        (&0.into(), &2.into())
    );

    let user = json!({ "user_id": 17, "auth_hash": [0, 127, 250] });
    let signed_in = "WM6Px-GdN7RlNoJ8uWRfQQ";
    assert_eq!(
        visit(&table, signed_in, "axum-login.data").await,
        (user, false)
    );
    let other = "_daQNYApDEY0LU41jN8jJg";
    let cart = json!([1, -2, u64::MAX, 0.1, true, null, { "": [] }]);
    assert_eq!(visit(&table, other, "cart").await, (cart, false));
    assert_eq!(visit(&table, other, "user").await, (json!("Zoë"), false));
    assert_eq!(
        visit(&table, other, "slash/and~tilde").await,
        (json!("\0\"\\"), false)
    );
    let expired = "yhjvsjQnJU5IyKgcaIGZ8Q";
    assert_eq!(visit(&table, expired, "user").await.0, Value::Null);

    assert_eq!(table.store.expire_owner("17", None).await.unwrap(), 1);
    assert_eq!(
        visit(&table, signed_in, "axum-login.data").await.0,
        Value::Null
    );
    old.end(table).await;
}

#[tokio::test]
async fn a_session_lives_as_long_as_it_would_have() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    let key = old.add(&json!({})).await;
    let forever = old.add(&json!({})).await;
    let sql = format!(
        "update session set expiry_date = 'infinity' where id = '{}'",
        forever.text()
    );
    old.execute(&sql).await;
    old.imported(&table, &[]);
    let hour = Duration::from_hours(1);
    let record = table.store.load(key.id()).await.unwrap().unwrap();
    let remaining = record.stamp.unwrap().remaining;
    assert!(
        remaining < hour && remaining > hour - Duration::from_mins(1),
        "{remaining:?}"
    );
    let record = table.store.load(forever.id()).await.unwrap().unwrap();
    assert!(record.stamp.unwrap().remaining > hour * 24 * 365 * 99);
    old.end(table).await;
}

#[tokio::test]
async fn imported_again_what_was_used_or_has_ended_is_left_alone() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(old.add(&json!({ "user": "ann" })).await);
    }
    let [unused, used, ended, rotated] = keys[..] else {
        unreachable!("there are four");
    };
    assert_eq!(number(&old.imported(&table, &[]), "imported"), 4);

    let store = &table.store;
    let record = store.load(used.id()).await.unwrap().unwrap();
    let saved = store
        .save(&Record {
            owner: Some("ann".parse().unwrap()),
            ..record
        })
        .await;
    assert!(matches!(saved.unwrap(), Saved::Stored(_)));
    assert!(store.expire(ended.id()).await.unwrap());
    let record = store.load(rotated.id()).await.unwrap().unwrap();
    let new = Record {
        id: SessionToken::generate().unwrap().id(),
        ..record
    };
    let moved = store.rotate(rotated.id(), &new, Age::Keep).await.unwrap();
    assert!(matches!(moved, Saved::Stored(_)));
    let late = old.add(&json!({})).await;

    let counted = old.imported(&table, &["--dry-run"]);
    assert_eq!(
        (
            number(&counted, "imported"),
            number(&counted, "imported_before")
        ),
        (1, 4)
    );
    assert!(store.load(late.id()).await.unwrap().is_none());
    let again = old.imported(&table, &[]);
    assert_eq!(
        (
            number(&again, "imported"),
            number(&again, "imported_before")
        ),
        (1, 4)
    );

    assert!(store.load(late.id()).await.unwrap().is_some());
    assert_eq!(store.load(unused.id()).await.unwrap().unwrap().revision, 1);
    let found = store.load(used.id()).await.unwrap().unwrap();
    assert_eq!((found.revision, found.owner.as_deref()), (2, Some("ann")));
    assert!(store.load(ended.id()).await.unwrap().is_none());
    assert!(store.load(rotated.id()).await.unwrap().is_none());
    assert_eq!(table.counts().await.0, 0);
    old.end(table).await;
}

/// Three imports at once, while whoever finds a session of theirs signs out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_imports_beside_live_use_each_session_comes_once() {
    const SESSIONS: u64 = 3_000;

    let (table, mut old) = (Table::new().await, Old::new().await);
    old.fill(SESSIONS as usize).await;
    let imports: Vec<_> = (0..3)
        .map(|_| old.import(&table, &["--format", "json"]).spawn().unwrap())
        .collect();
    let mut ended = Vec::new();
    until("some have come", async || {
        ended.extend(some_ids(&table).await);
        !ended.is_empty()
    })
    .await;
    for id in &ended {
        table.store.expire(*id).await.unwrap();
    }
    let mut imported = 0;
    for import in imports {
        let ran: Ran = import.wait_with_output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        imported += number(&ran.object(), "imported");
    }
    let again = number(&old.imported(&table, &[]), "imported");
    let mut revived = 0;
    for id in &ended {
        revived += u32::from(table.store.load(*id).await.unwrap().is_some());
    }
    println!(
        "sessions={SESSIONS} imports=3 imported={imported} again={again} ended={} revived={revived}",
        ended.len()
    );
    assert_eq!((imported, again, revived), (SESSIONS, 0, 0));
    let live = table.store.stats().await.unwrap().persistent;
    assert_eq!(live, SESSIONS - ended.len() as u64);
    old.end(table).await;
}

async fn some_ids(table: &Table) -> Vec<SessionId> {
    let sql = format!(
        "select replace(id::text, '-', '') from {} limit 200",
        table.name
    );
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let ids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

#[tokio::test]
async fn what_cannot_be_imported_is_counted_and_stops_nothing() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    let good = old.add(&json!({ "user": "ann" })).await;
    let key = || Key(fastrand::u128(..).cast_signed());
    let empty = json!({});
    for (id, data) in [
        (key().text(), Vec::new()),
        (key().text(), vec![0xff; 1000]),
        (key().text(), b"{\"user\":\"ann\"}".to_vec()),
        (key().text(), vec![0x91; 100_000]),
        (key().text(), key().written(&empty)), // of another id
        (key().text(), key().written(&json!([1]))),
        (String::new(), key().written(&empty)),
        ("Zoë \u{1}".to_owned(), key().written(&empty)),
        ("x".repeat(2_000), key().written(&empty)),
    ] {
        old.add_row(&id, &data, "1 hour").await;
    }
    let large = [2, 8].map(|megabytes| {
        let key = key();
        (
            key,
            key.written(&json!({ "x": "x".repeat(megabytes << 20) })),
        )
    });
    for (key, data) in &large {
        old.add_row(&key.text(), data, "1 hour").await;
    }
    for expired in ["-1 second", "-100 years"] {
        old.add_row(&key().text(), b"garbage", expired).await;
    }
    let ran: Ran = old.import(&table, &[]).output().unwrap().into();
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1);
    let words = ", 2 had expired, 9 cannot be read, 2 are too large; nothing is left\n";
    assert!(
        ran.stdout.starts_with("imported 1 live sessions in "),
        "{ran:?}"
    );
    assert!(ran.stdout.ends_with(words), "{ran:?}");
    assert!(table.store.load(good.id()).await.unwrap().is_some());
    assert_eq!(table.store.stats().await.unwrap().persistent, 1);
    old.end(table).await;
}

/// The documented schema, all of it.
#[tokio::test]
async fn a_dry_run_reports_and_writes_nothing() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    old.fill(3).await;
    let report = old.imported(&table, &["--dry-run"]);
    let names: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "dry_run",
            "expired",
            "imported",
            "imported_before",
            "imported_per_second",
            "more",
            "seconds",
            "stopped",
            "store",
            "too_large",
            "unowned",
            "unreadable"
        ]
    );
    assert_eq!(report["imported"], 3);
    assert_eq!(
        (&report["dry_run"], &report["more"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&report["unowned"], &report["stopped"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(table.store.stats().await.unwrap().persistent, 0);
    let ran: Ran = old.import(&table, &["--dry-run"]).output().unwrap().into();
    assert_eq!(ran.stdout, "3 live sessions would be imported\n");
    old.end(table).await;
}

/// It waits for a lock in the middle of its first batch when the signal comes.
#[tokio::test]
async fn sigterm_leaves_a_whole_batch_and_the_right_report() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    old.fill(2_500).await;
    // There is none before there is something to import.
    table.store.import(&[]).await.unwrap();
    let ledger = format!("public.{}_imported", table.name);
    old.execute(&format!("begin; lock table {ledger}")).await;
    let importing = old.import(&table, &["--format", "json"]).spawn().unwrap();
    until_waiting(1, &ledger).await;
    terminate(&importing);
    // Signals take their time.
    tokio::time::sleep(Duration::from_millis(100)).await;
    old.execute("commit").await;
    let ran: Ran = importing.wait_with_output().unwrap().into();
    let report = ran.object();
    let imported = number(&report, "imported");
    println!("live=2500 imported={imported}");
    assert_eq!((ran.code, &*ran.stderr), (Some(3), ""), "{ran:?}");
    assert!(imported.is_multiple_of(1_000) && (1..2_500).contains(&imported));
    assert_eq!(
        (&report["more"], &report["stopped"]),
        (&true.into(), &"signal".into())
    );
    assert_eq!(table.store.stats().await.unwrap().persistent, imported);
    let again = old.imported(&table, &[]);
    assert_eq!(number(&again, "imported"), 2_500 - imported);
    assert_eq!(number(&again, "imported_before"), imported);
    old.end(table).await;
}

/// Of a large table that can take minutes.
#[tokio::test]
async fn sigterm_ends_the_counting_of_the_old_table() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    old.fill(3).await;
    let locked = format!("{}.session", old.schema);
    old.execute(&format!("begin; lock table {locked}")).await;
    let importing = old.import(&table, &["--format", "json"]).spawn().unwrap();
    until_waiting(1, &locked).await;
    terminate(&importing);
    let ran: Ran = importing.wait_with_output().unwrap().into();
    old.execute("commit").await;
    assert_eq!((ran.code, &*ran.stderr), (Some(3), ""), "{ran:?}");
    let report = ran.object();
    assert_eq!(
        (&report["imported"], &report["more"], &report["stopped"]),
        (&0.into(), &true.into(), &"signal".into())
    );
    old.end(table).await;
}

/// It may have a place, or be up, the next time.
#[tokio::test]
async fn a_server_that_takes_nobody_more_exits_with_69_as_the_stores_does() {
    let (table, mut old) = (Table::new().await, Old::new().await);
    let role = format!("full_{:032x}", fastrand::u128(..));
    old.execute(&format!(
        "create role {role} login password 'hunter2' connection limit 0"
    ))
    .await;
    let server = server();
    let (_, host) = server.rsplit_once('@').unwrap();
    let full = format!("postgres://{role}:hunter2@{host}");
    for (command, flag) in [("import", "--from"), ("stats", "--store")] {
        let ran = table.run(&[command, flag, &full]);
        assert_eq!(ran.code, Some(69), "{ran:?}");
        assert!(ran.stderr.contains("too many connections"), "{ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    old.execute(&format!("drop role {role}")).await;
    old.end(table).await;
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_sentence_without_the_password() {
    let table = Table::new().await;
    let fails = |arguments: &[&str], code, words: &str| {
        let ran: Ran = table.program(arguments).output().unwrap().into();
        assert_eq!((ran.code, &*ran.stdout), (Some(code), ""), "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains(words), "{words:?} in {ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    };
    let nobody = "postgres://u:hunter2@127.0.0.1:1/d";
    fails(&["import", "--from", nobody], 69, "--from names it");
    fails(&["import", "--from", "mysql://u:hunter2@h/d"], 64, "--from");
    fails(&["import", "--from-table", "a.b.c"], 64, "--from-table");
    fails(&["import", "--owner", "user"], 64, "slash");
    for missing in ["no_such_table", "no_such_schema.session", &table.name] {
        fails(
            &["import", "--from-table", missing],
            70,
            "name it by --from-table",
        );
    }
    let into_sled = run(&["import", "--store", "sled:/x"]);
    assert_eq!(into_sled.code, Some(64), "{into_sled:?}");
    let unmigrated = program(&["import", "--table", "no_such_table"])
        .env("CLOAKROOM_STORE", server())
        .output()
        .unwrap();
    assert_eq!(unmigrated.status.code(), Some(70));
    table.store.drop_tables().await.unwrap();
}
