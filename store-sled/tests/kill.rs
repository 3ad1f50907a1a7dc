//! `kill -9` takes back nothing that was answered. `CLOAKROOM_ROUNDS` sets how often.

mod support;

use std::{
    env,
    io::{BufRead, BufReader, Write, stdout},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use cloakroom_store_api::{SessionId, SessionStore};
use cloakroom_store_sled::{Durability, SledStore};
use cloakroom_test_support::{Differences, Ledger, News, rounds, work};
use tokio::sync::mpsc;

use crate::support::reopened;

const CALLERS: u32 = 16;

/// Names the folder to the process that is killed.
const FOLDER: &str = "CLOAKROOM_KILL_TEST_FOLDER";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_to_kill_9() {
    if let Some(folder) = env::var_os(FOLDER) {
        return fill(Path::new(&folder), Durability::Always).await;
    }
    let test = "nothing_that_was_answered_is_lost_to_kill_9";
    assert_eq!(killed(test, rounds(20)).await, Differences::default());
}

/// So the comparison can find a loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_flushed_is_lost_to_kill_9() {
    if let Some(folder) = env::var_os(FOLDER) {
        return fill(
            Path::new(&folder),
            Durability::Every(Duration::from_mins(1)),
        )
        .await;
    }
    let found = killed("what_was_not_flushed_is_lost_to_kill_9", 20).await;
    assert!(
        found.lost + found.revived > 0 && found.wrong == 0,
        "{found}"
    );
}

/// Kills a test's process while it fills a folder, until something is different.
async fn killed(test: &str, most: u32) -> Differences {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::default();
    let (mut all, mut kills) = (Differences::default(), 0);
    while kills < most && all == Differences::default() {
        kills += 1;
        let mut child = start(test, folder.path());
        thread::scope(|scope| {
            let mut lines = told(&mut child);
            // It has opened the folder when it first says something.
            note(&ledger, &lines.next().unwrap());
            let rest = scope.spawn(|| lines.for_each(|line| note(&ledger, &line)));
            thread::sleep(Duration::from_millis(fastrand::u64(1..100)));
            child.kill().unwrap();
            rest.join().unwrap();
        });
        child.wait().unwrap();
        let store = SledStore::open(folder.path()).unwrap();
        all += match kills == most {
            true => ledger.compare_all(&store).await,
            false => ledger.compare(&store).await,
        };
    }
    println!("kills={kills} acked={} {all}", ledger.answers());
    all
}

/// A test, once more, as a process of its own.
fn start(test: &str, folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Each whole line about a session. A line that was cut off was not told.
fn told(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let lines = std::iter::from_fn(move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.ends_with('\n').then_some(line)
    });
    // The test harness has lines of its own.
    lines.filter_map(|line| Some(line.strip_prefix('@')?.trim_end().to_owned()))
}

fn note(ledger: &Ledger, line: &str) {
    let (id, news) = line.split_once(' ').unwrap();
    ledger.note(id.parse().unwrap(), news.parse().unwrap());
}

/// Saves, rotates and ends sessions until it is killed, while others touch them.
async fn fill(folder: &Path, durability: Durability) {
    let store = reopened(&SledStore::builder(folder).durability(durability));
    let output = Arc::new(Mutex::new(stdout()));
    // The harness has begun a line.
    writeln!(output.lock().unwrap()).unwrap();
    let (used, users) = mpsc::unbounded_channel();
    tokio::spawn(touch(store.clone(), users));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (store, output) = (store.clone(), Arc::clone(&output));
            let used = used.clone();
            let tell = move |id: SessionId, news: News| {
                let mut output = output.lock().unwrap();
                writeln!(output, "@{id} {news}").unwrap();
                output.flush().unwrap();
                used.send(id).unwrap();
            };
            tokio::spawn(async move { work(&store, &tell).await })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

/// Touches the sessions that there was news of, among them some that have just ended or are about
/// to.
async fn touch(store: SledStore, mut users: mpsc::UnboundedReceiver<SessionId>) {
    while let Some(id) = users.recv().await {
        for revision in 1..=4 {
            store.touch(id, revision).await.unwrap();
        }
    }
}
