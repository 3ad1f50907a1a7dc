//! The whole of it: servers, processes, users, faults.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use cloakroom::store::SessionStore;
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::{Postgres, Proxy};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{interval, sleep},
};

use crate::{
    canary::{Canary, Seen},
    fault::Fault,
    nodes::{Node, has_clocks},
    report::{Found, Happened, Second},
};

/// From one fault to the next.
const RHYTHM: Duration = Duration::from_secs(20);

pub(crate) async fn run(duration: Duration, users: usize, wrong: bool) -> Found {
    // What was answered is to outlive the server: it is the process that is killed, not the disk.
    let mut server = tokio::task::block_in_place(|| Postgres::start_as("max_connections = 100"));
    let proxy = Proxy::start(server.address()).await;
    let url = server.url_at(proxy.address());
    let store = PostgresStore::connect(&server.url())
        .await
        .expect("the server answers");
    store.migrate().await.expect("the table can be made");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let nodes = tokio::task::block_in_place(|| {
        [1, 2].map(|n| Node::start(&url, wrong, folder.path().join(format!("clock-{n}"))))
    });
    let nodes = Arc::new(nodes);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (stop, stopped) = watch::channel(false);
    let began = Instant::now();

    let mut living = JoinSet::new();
    for number in 0..users {
        let canary = Canary::new(number, Arc::clone(&nodes), Arc::clone(&seen));
        living.spawn(canary.live(stopped.clone()));
    }
    let watching = tokio::spawn(watch(
        Arc::clone(&nodes),
        Arc::clone(&seen),
        began,
        stopped.clone(),
    ));
    let ageing = tokio::spawn(age(store.clone(), stopped));

    let faults: Vec<_> = Fault::ALL
        .into_iter()
        .filter(|fault| has_clocks() || !matches!(fault, Fault::ClockAhead | Fault::ClockBehind))
        .collect();
    let mut happened = Vec::new();
    for (n, fault) in faults.iter().cycle().enumerate() {
        let at = RHYTHM * u32::try_from(n + 1).expect("a few hundred");
        if at + RHYTHM > duration {
            break;
        }
        sleep(at.saturating_sub(began.elapsed())).await;
        let at = began.elapsed();
        fault.happen(&mut server, &proxy, &nodes).await;
        let mended = began.elapsed();
        happened.push(Happened {
            fault: *fault,
            at,
            mended,
        });
        eprintln!("{:>5} s: {}", at.as_secs(), fault.about());
    }
    sleep(duration.saturating_sub(began.elapsed())).await;
    stop.send_replace(true);
    living.join_all().await;
    let seconds = watching.await.expect("it only looks");
    ageing.await.expect("it goes on after errors");

    let left = store.stats().await.expect("the server answers");
    let connections = server
        .answer("select count(*) from pg_stat_activity where backend_type = 'client backend'");
    let seen = *seen.lock().expect("nobody panicked");
    Found {
        duration: began.elapsed(),
        users,
        seen,
        happened,
        seconds,
        left: left.browser + left.persistent + left.expired,
        connections: connections.trim().parse().expect("a number"),
    }
}

/// Looks once a second.
async fn watch(
    nodes: Arc<[Node; 2]>,
    seen: Arc<Mutex<Seen>>,
    began: Instant,
    stopped: watch::Receiver<bool>,
) -> Vec<Second> {
    let mut seconds = Vec::new();
    let mut last = Seen::default();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.tick().await;
    while !*stopped.borrow() {
        ticks.tick().await;
        let now = *seen.lock().expect("nobody panicked");
        let failed = |seen: Seen| seen.unavailable + seen.unanswered;
        seconds.push(Second {
            at: began.elapsed(),
            answered: now.answered - last.answered,
            failed: failed(now) - failed(last),
            memory: [nodes[0].memory(), nodes[1].memory()],
        });
        last = now;
    }
    seconds
}

/// Sweepers leave what has died within the hour. Here an hour goes by every five seconds.
async fn age(store: PostgresStore, stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        sleep(Duration::from_secs(5)).await;
        // A server that is away now is not in five seconds.
        let _ = store.make_due().await;
    }
}
