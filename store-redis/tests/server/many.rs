//! An owner of many sessions, and of some that move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cloakroom_store_api::{Age, Record, Saved, SessionId, SessionStore};
use tokio::task::JoinSet;

use crate::{
    servers::OwnServer,
    support::{fresh_store, owned, record, stored},
};

/// A session that moves to another id while its owner's are listed is listed once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_rotated_is_in_every_list_once() {
    const SESSIONS: usize = 8;
    let store = fresh_store().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut rotators = JoinSet::new();
    for _ in 0..SESSIONS {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        let mut session = stored(&store, owned("ann")).await;
        rotators.spawn(async move {
            let mut rotations = 0;
            while !stop.load(Relaxed) {
                let moved = Record {
                    id: record().id,
                    ..session.clone()
                };
                let rotated = store.rotate(session.id, &moved, Age::Keep).await.unwrap();
                let Saved::Stored(stamp) = rotated else {
                    panic!("nobody else rotates");
                };
                session = moved.stored(stamp);
                rotations += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            rotations
        });
    }
    let (mut lists, mut wrong) = (0, 0);
    while lists < 500 {
        lists += 1;
        wrong += u32::from(store.list("ann").await.unwrap().len() != SESSIONS);
    }
    stop.store(true, Relaxed);
    let rotations: u32 = rotators.join_all().await.into_iter().sum();
    println!("sessions={SESSIONS} rotations={rotations} lists={lists} wrong={wrong}");
    assert_eq!(wrong, 0);
}

/// How often the server has run commands of a name.
async fn calls(server: &OwnServer, name: &str) -> u64 {
    let stats: String = server.run("INFO commandstats").await;
    let start = format!("cmdstat_{name}:calls=");
    let calls = stats.lines().find_map(|line| line.strip_prefix(&start));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sessions_of_one_owner_end_without_being_loaded() {
    const SESSIONS: usize = 10_000;
    let server = OwnServer::start("").await;
    let store = server.fresh().connect().await.unwrap();
    let mut creators = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        creators.spawn(async move {
            let mut last = record();
            for _ in 0..SESSIONS / 16 {
                last = stored(&store, owned("ann")).await;
            }
            last.id
        });
    }
    let known: Vec<SessionId> = creators.join_all().await;
    let began = Instant::now();
    let listed = store.list("ann").await.unwrap().len();
    let listing = began.elapsed();
    let reads = async || calls(&server, "get").await + calls(&server, "mget").await;
    let before = reads().await;
    let began = Instant::now();
    let ended = store.expire_owner("ann", Some(known[0])).await.unwrap();
    let ending = began.elapsed();
    let read = reads().await - before;
    println!(
        "sessions={listed} listed_after_ms={} ended={ended} after_ms={} read={read}",
        listing.as_millis(),
        ending.as_millis()
    );
    assert_eq!((listed, ended, read), (SESSIONS, SESSIONS as u64 - 1, 0));
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
    assert_eq!(store.load(known[1]).await.unwrap(), None);
}
