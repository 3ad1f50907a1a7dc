use std::process::Child;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::join;

use crate::support::{Ran, Table, folder, run, server, terminate, until, until_waiting};

#[tokio::test]
async fn a_folder_is_swept_and_the_live_are_spared() {
    let (_folder, url) = folder(30, 5).await;
    let swept = run(&["sweep", "--store", &url, "--format", "json"]);
    assert_eq!((swept.code, &*swept.stderr), (Some(0), ""), "{swept:?}");
    assert_eq!(swept.object()["removed"], 30);
    let stats = run(&["stats", "--store", &url, "--format", "json"]).object();
    assert_eq!(
        (&stats["browser"], &stats["expired"]),
        (&5.into(), &0.into())
    );
}

#[tokio::test]
async fn a_table_is_swept_and_the_live_are_spared() {
    let table = Table::new().await;
    table.fill(500).await;
    let swept = table.run(&["sweep"]);
    assert_eq!((swept.code, &*swept.stderr), (Some(0), ""), "{swept:?}");
    assert_eq!(swept.stdout.lines().count(), 1);
    assert!(
        swept.stdout.starts_with("removed 500 ended sessions"),
        "{swept:?}"
    );
    assert_eq!(table.counts().await, (0, 50));
    table.store.drop_tables().await.unwrap();
}

/// The documented schema, all of it.
#[tokio::test]
async fn the_report_for_machines_is_one_object() {
    let table = Table::new().await;
    table.fill(100).await;
    let report = table
        .run(&["sweep", "--format", "json", "--batch", "30"])
        .object();
    let Value::Object(fields) = &report else {
        panic!("{report}");
    };
    let names: Vec<_> = fields.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "batches",
            "dry_run",
            "longest_batch_seconds",
            "more",
            "removed",
            "removed_per_second",
            "seconds",
            "stopped",
            "store"
        ]
    );
    assert_eq!(report["store"], "postgres");
    assert_eq!(report["removed"], 100);
    assert_eq!(report["batches"], 4);
    assert_eq!(report["more"], false);
    assert_eq!(report["dry_run"], false);
    assert_eq!(report["stopped"], Value::Null);
    let number = |name: &str| report[name].as_f64().unwrap();
    assert!(number("seconds") >= number("longest_batch_seconds"));
    assert!(number("longest_batch_seconds") > 0.0);
    assert!(number("removed_per_second") > 0.0);
    table.store.drop_tables().await.unwrap();
}

#[tokio::test]
async fn a_dry_run_counts_and_removes_nothing() {
    let table = Table::new().await;
    table.fill(100).await;
    let counted = table.run(&["sweep", "--dry-run"]);
    assert_eq!(counted.code, Some(0), "{counted:?}");
    assert_eq!(counted.stdout, "100 ended sessions would be removed\n");
    assert_eq!(table.counts().await, (100, 10));
    table.store.drop_tables().await.unwrap();

    let (_folder, url) = folder(7, 1).await;
    for _ in 0..2 {
        let counted = run(&["sweep", "--dry-run", "--store", &url, "--format", "json"]);
        let counted = counted.object();
        assert_eq!(
            (&counted["removed"], &counted["dry_run"]),
            (&7.into(), &true.into())
        );
    }
}

#[tokio::test]
async fn a_sweep_that_has_to_stop_says_that_more_is_left() {
    let table = Table::new().await;
    table.fill(100).await;
    let limited = async |limit: [&str; 2]| {
        let flags = [
            "sweep", "--batch", "10", "--format", "json", limit[0], limit[1],
        ];
        table.run_in_turn(&flags).await
    };
    let swept = limited(["--max-batches", "3"]).await;
    let report = swept.object();
    assert_eq!(swept.code, Some(3), "{swept:?}");
    assert_eq!(
        (&report["removed"], &report["stopped"]),
        (&30.into(), &"max-batches".into())
    );
    let swept = limited(["--max-duration", "0s"]).await;
    let report = swept.object();
    assert_eq!(swept.code, Some(3), "{swept:?}");
    assert_eq!(
        (&report["removed"], &report["stopped"]),
        (&10.into(), &"max-duration".into())
    );
    assert_eq!(report["more"], true);
    assert_eq!(table.counts().await, (60, 10));
    let swept = limited(["--max-batches", "100"]).await;
    assert_eq!(
        swept.code,
        Some(0),
        "all is done within the limit: {swept:?}"
    );
    table.store.drop_tables().await.unwrap();
}

fn ended(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

#[tokio::test]
async fn sigterm_leaves_a_whole_batch_and_the_right_report() {
    let table = Table::new().await;
    table.fill(20_000).await;
    let sweeping = table
        .program(&[
            "sweep", "--batch", "100", "--pause", "20ms", "--format", "json",
        ])
        .spawn()
        .unwrap();
    until("the sweep has begun", async || {
        table.counts().await.0 < 20_000
    })
    .await;
    terminate(&sweeping);
    let swept = ended(sweeping);
    let report = swept.object();
    let removed = report["removed"].as_u64().unwrap();
    let (left, live) = table.counts().await;
    println!("dead=20000 removed={removed} left={left}");
    assert_eq!(swept.code, Some(3), "{swept:?}");
    assert_eq!(swept.stderr, "");
    assert_eq!((removed + left, live), (20_000, 2_000));
    assert_eq!(removed, report["batches"].as_u64().unwrap() * 100);
    assert!(removed > 0 && left > 0);
    assert_eq!(
        (&report["more"], &report["stopped"]),
        (&true.into(), &"signal".into())
    );
    let again = table.run_in_turn(&["sweep", "--format", "json"]).await;
    let again = again.object();
    assert_eq!(again["removed"], left, "the lock has gone with the process");
    table.store.drop_tables().await.unwrap();
}

#[tokio::test]
async fn sigterm_ends_a_wait_for_the_first_batch() {
    let table = Table::new().await;
    table.fill(10).await;
    // Shorter than the test's own patience only once in thousands of runs.
    let waiting = table
        .program(&["sweep", "--jitter", "1000days", "--format", "json"])
        .spawn()
        .unwrap();
    let listening = format!("/proc/{}/status", waiting.id());
    // Until it catches signals it would just die of one.
    until("it listens", async || {
        let status = std::fs::read_to_string(&listening).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.is_some_and(|caught| {
            u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught & 0x4000 != 0)
        })
    })
    .await;
    terminate(&waiting);
    let swept = ended(waiting);
    assert_eq!(swept.code, Some(3), "{swept:?}");
    assert_eq!(swept.object()["removed"], 0);
    assert_eq!(table.counts().await, (10, 1));
    table.store.drop_tables().await.unwrap();
}

/// Of a large backlog that can take minutes.
#[tokio::test]
async fn sigterm_ends_the_counting_of_a_dry_run() {
    let table = Table::new().await;
    table.fill(10).await;
    for (format, words) in [
        ("text", "nothing was counted"),
        ("json", "\"stopped\":\"signal\""),
    ] {
        let opened = locked(&table).await;
        let counting = table
            .program(&["sweep", "--dry-run", "--format", format])
            .spawn()
            .unwrap();
        until_waiting(1, &table.name).await;
        // Whoever asks for a lock first has it first: the program to look whether the table is
        // there, then this, then the program to count.
        let (counted, ()) = join!(locked(&table), async {
            until_waiting(2, &table.name).await;
            opened.close().await.unwrap();
        });
        until_waiting(1, &table.name).await;
        terminate(&counting);
        let ran = ended(counting);
        counted.close().await.unwrap();
        assert_eq!((ran.code, &*ran.stderr), (Some(3), ""), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
        assert!(ran.stdout.contains(words), "{ran:?}");
    }
    table.store.drop_tables().await.unwrap();
}

/// A connection that keeps everybody else from the table until it is closed.
async fn locked(table: &Table) -> PgConnection {
    let mut connection = PgConnection::connect(&server()).await.unwrap();
    let lock = format!("begin; lock table {}", table.name);
    let lock = raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await;
    lock.unwrap();
    connection
}

/// Four sweepers at once on 60,000 sessions: how each ended, and how many each removed.
async fn four_sweepers(flags: &[&str]) -> (Vec<Ran>, u64) {
    let table = Table::new().await;
    table.fill(60_000).await;
    let sweepers: Vec<_> = (0..4)
        .map(|_| {
            let flags = [&["sweep", "--format", "json", "--batch", "500"], flags].concat();
            table.program(&flags).spawn().unwrap()
        })
        .collect();
    let ran: Vec<_> = sweepers.into_iter().map(ended).collect();
    let removed = ran
        .iter()
        .filter(|ran| ran.code == Some(0))
        .map(|ran| ran.object()["removed"].as_u64().unwrap())
        .sum();
    assert_eq!(table.counts().await, (0, 6_000));
    table.store.drop_tables().await.unwrap();
    (ran, removed)
}

#[tokio::test]
async fn four_sweepers_at_once_count_each_session_once() {
    let (ran, removed) = four_sweepers(&["--no-lock"]).await;
    println!("dead=60000 sweepers=4 removed={removed}");
    assert!(
        ran.iter()
            .all(|ran| (ran.code, &*ran.stderr) == (Some(0), "")),
        "{ran:?}"
    );
    assert_eq!(removed, 60_000);
}

#[tokio::test]
async fn with_the_lock_one_of_four_sweeps() {
    // The pause keeps the first at work until the last has asked.
    let (ran, removed) = four_sweepers(&["--pause", "50ms"]).await;
    let locked: Vec<_> = ran.iter().filter(|ran| ran.code == Some(4)).collect();
    println!(
        "dead=60000 sweepers=4 locked={} removed={removed}",
        locked.len()
    );
    assert_eq!(removed, 60_000);
    assert_eq!(locked.len(), 3, "{ran:?}");
    for ran in locked {
        assert_eq!(ran.stdout, "");
        assert_eq!(ran.stderr.lines().count(), 1);
        assert!(ran.stderr.contains("another sweeper is at work"), "{ran:?}");
    }
}
