//! Who dates a save: its caller, if the server finds that to be right, or else the script.

use std::time::Duration;

use cloakroom_store_api::{Lifetime, Persistence, Record, SessionStore};
use cloakroom_test_support::Way;
use time::OffsetDateTime;

use crate::{
    resent::stores,
    servers::OwnServer,
    support::{ask, fresh_store, key, owned, record, run, stored},
};

/// How often the server has read a part of a record, as a script does once, and once more if it
/// dates the record itself.
async fn reads(server: &OwnServer) -> u64 {
    let stats: String = server.run("INFO commandstats").await;
    let of_reads = |line: &str| {
        line.strip_prefix("cmdstat_getrange:calls=")
            .map(str::to_owned)
    };
    let stats = stats.lines().find_map(of_reads).unwrap_or_default();
    stats.split(',').next().unwrap().parse().unwrap_or(0)
}

/// What is changed of a record before it is saved.
type Change = fn(&mut Record);

fn absolute(hours: u64) -> Lifetime {
    let absolute = Duration::from_hours(hours);
    Lifetime::new(Persistence::Browser, Duration::from_mins(30), absolute)
}

#[tokio::test]
async fn a_script_reckons_only_what_its_caller_cannot_know() {
    let server = OwnServer::start("").await;
    let store = server.fresh().connect().await.unwrap();
    let mut session = stored(&store, owned("ann")).await;
    let created_at = session.stamp.unwrap().created_at;
    let cases: [(&str, u64, Change); 8] = [
        ("the same", 1, |_| {}),
        ("the same again", 1, |_| {}),
        ("no stamp", 2, |record| record.stamp = None),
        ("another creation", 2, |record| {
            record.stamp.as_mut().unwrap().created_at -= Duration::from_millis(1);
        }),
        ("another timeout", 2, |record| record.lifetime = absolute(3)),
        ("the same after it", 1, |_| {}),
        // Twice: it is entered in the index in between.
        ("another owner", 4, |record| {
            record.owner = "bob".parse().ok();
        }),
        ("no owner", 2, |record| record.owner = None),
    ];
    for (what, expected, change) in cases {
        change(&mut session);
        let mut read = u64::MAX;
        // A machine that is busy elsewhere makes a save late.
        for _ in 0..10 {
            let before = reads(&server).await;
            session = stored(&store, session).await;
            read = read.min(reads(&server).await - before);
            if read == 1 || expected > 1 {
                break;
            }
        }
        println!("{what}: reads={read}");
        assert_eq!(read, expected, "{what}");
        let saved = session.stamp.unwrap();
        assert_eq!(saved.created_at, created_at, "{what}");
        let found = store.load(session.id).await.unwrap().unwrap();
        assert_eq!(found.owner, session.owner, "{what}");
    }
}

/// What a save says is what is stored, and to the millisecond when Redis ends it.
#[tokio::test]
async fn a_save_that_was_long_on_its_way_is_dated_where_it_arrives() {
    const WAY: Duration = Duration::from_millis(300);
    let (proxy, store, direct) = stores().await;
    let mut session = stored(&store, owned("ann")).await;
    for way in [Duration::ZERO, WAY] {
        proxy.set(match way.is_zero() {
            true => Way::Open,
            false => Way::Slow(way),
        });
        let (seconds, micros): (i128, i128) = run("TIME").await;
        let asked =
            OffsetDateTime::from_unix_timestamp_nanos(seconds * 1_000_000_000 + micros * 1_000);
        session = stored(&store, session).await;
        let stamp = session.stamp.unwrap();
        let dated = stamp.expires_at - session.lifetime.idle();
        let after = dated - asked.unwrap();
        println!(
            "on_its_way_ms={} dated_after_ms={}",
            way.as_millis(),
            after.whole_milliseconds()
        );
        // By as much a save may be dated too early.
        assert!(after + Duration::from_millis(100) >= way, "{after}");

        let found = direct.load(session.id).await.unwrap().unwrap();
        assert_eq!(found.stamp.unwrap().expires_at, stamp.expires_at);
        let ends: i128 = run(&format!("PEXPIRETIME {}", key(&store, session.id))).await;
        let apart = stamp.expires_at.unix_timestamp_nanos() / 1_000_000 - ends - 1;
        println!("record_clock_off_ms={apart}");
        assert!(apart.abs() <= 50, "{apart}");
    }
}

/// As the server meets it whose clock has passed the deadline that a save was dated by.
#[tokio::test]
async fn a_deadline_that_has_passed_is_dated_anew() {
    const SAVE: &str = concat!(
        include_str!("../../src/scripts/save.lua"),
        include_str!("../../src/scripts/each.lua")
    );
    let store = fresh_store().await;
    let session = stored(&store, record()).await;
    let path = key(&store, session.id);
    let held: Vec<u8> = run(&format!("GET {path}")).await;
    let (seconds, micros): (i64, i64) = run("TIME").await;
    let now = seconds * 1_000 + micros / 1_000;
    let mut value = held.clone();
    value[9] += 1;
    let mut save = redis::cmd("EVAL");
    save.arg(SAVE)
        .arg(1)
        .arg(&path)
        .arg(&held[2..10])
        .arg(value);
    save.arg(51).arg(now).arg(now - 1).arg(0);
    let answers: Vec<Vec<u8>> = ask(&save).await;
    let ends: i64 = run(&format!("PEXPIRETIME {path}")).await;
    println!("verdict={} left_ms={}", answers[0][0], ends - now);
    assert_eq!(answers[0][0], 1);
    let idle = i64::try_from(session.lifetime.idle().as_millis()).unwrap();
    assert!(ends - now >= idle - 1_000, "{ends}");
}
