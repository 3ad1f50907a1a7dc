//! `kill -9` takes back nothing that was answered.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write, stdout},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use cloakroom_store_api::{
    Age, Lifetime, Record, Result, Saved, SessionId, SessionStore, SessionToken,
};
use cloakroom_store_sled::SledStore;

const KILLS: u32 = 20;
const CALLERS: u32 = 16;

/// Names the folder to the process that is killed.
const FOLDER: &str = "CLOAKROOM_KILL_TEST_FOLDER";

/// What a process was told of a session before it was killed.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// It has at least this revision.
    Stored(u64),
    /// Its end was asked for, and may have come or not.
    Ending,
    Ended,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_answered_is_lost_to_kill_9() {
    if let Some(folder) = env::var_os(FOLDER) {
        return work(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut told = HashMap::new();
    let mut lost = 0;
    for _ in 0..KILLS {
        let mut child = start(folder.path());
        let lines = read(&mut child);
        // It has opened the folder when it first says something.
        note(&mut told, &lines.recv().unwrap());
        thread::sleep(Duration::from_millis(fastrand::u64(1..100)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            note(&mut told, &line);
        }
        let store = SledStore::open(folder.path()).unwrap();
        for (id, told) in &told {
            let found = store.load(*id).await.unwrap();
            let is_kept = match told {
                Told::Stored(revision) => found.is_some_and(|found| found.revision >= *revision),
                Told::Ending => true,
                Told::Ended => found.is_none(),
            };
            lost += u32::from(!is_kept);
        }
        let listed = store.list("everybody").await.unwrap().len() as u64;
        assert_eq!(listed, store.stats().await.unwrap().browser);
    }
    println!("kills={KILLS} acked={} lost={lost}", told.len());
    assert_eq!(lost, 0);
}

/// This test, once more, as a process of its own.
fn start(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["nothing_that_was_answered_is_lost_to_kill_9", "--exact"])
        .arg("--nocapture")
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Each whole line about a session. A line that was cut off was not told.
fn read(child: &mut Child) -> mpsc::Receiver<String> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (lines, read) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            // The test harness has lines of its own.
            if let Some(told) = line.strip_prefix('@') {
                lines.send(told.trim_end().to_owned()).unwrap();
            }
            line.clear();
        }
    });
    read
}

fn note(told: &mut HashMap<SessionId, Told>, line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let [what, id, revision] = words[..] else {
        panic!("{line:?}")
    };
    let now = match what {
        "stored" => Told::Stored(revision.parse().unwrap()),
        "ending" => Told::Ending,
        "ended" => Told::Ended,
        _ => panic!("{line:?}"),
    };
    told.insert(id.parse().unwrap(), now);
}

/// Saves, rotates and ends sessions until it is killed.
async fn work(folder: &Path) {
    let store = SledStore::open(folder).unwrap();
    let output = Arc::new(Mutex::new(stdout()));
    // The harness has begun a line.
    writeln!(output.lock().unwrap()).unwrap();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(call(store.clone(), Arc::clone(&output))))
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}

async fn call(store: SledStore, output: Arc<Mutex<impl Write>>) -> Result<()> {
    let tell = |what: &str, record: &Record| {
        let mut output = output.lock().unwrap();
        writeln!(output, "@{what} {} {}", record.id, record.revision).unwrap();
        output.flush().unwrap();
    };
    loop {
        let mut record = Record {
            owner: "everybody".parse().ok(),
            ..Record::new(SessionToken::generate()?.id(), Lifetime::BROWSER)
        };
        for _ in 0..3 {
            record = stored(record.clone(), store.save(&record).await?);
            tell("stored", &record);
        }
        let old = record.clone();
        tell("ending", &old);
        record.id = SessionToken::generate()?.id();
        record = stored(
            record.clone(),
            store.rotate(old.id, &record, Age::Restart).await?,
        );
        tell("stored", &record);
        tell("ended", &old);
        tell("ending", &record);
        assert!(store.expire(record.id).await?);
        tell("ended", &record);
        record = Record {
            owner: record.owner,
            ..Record::new(SessionToken::generate()?.id(), Lifetime::BROWSER)
        };
        record = stored(record.clone(), store.save(&record).await?);
        tell("stored", &record);
    }
}

fn stored(record: Record, saved: Saved) -> Record {
    match saved {
        Saved::Stored(stamp) => record.stored(stamp),
        other => panic!("{other:?}"),
    }
}
