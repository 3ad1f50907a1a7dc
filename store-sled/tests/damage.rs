//! A folder that was cut or damaged opens or says that it cannot, panics in nobody's call and
//! never shows what nobody stored. `CLOAKROOM_ROUNDS` sets how often.

mod support;

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use cloakroom_store_api::{
    Age, Data, Error, Lifetime, Record, Result, Saved, SessionId, SessionStore, SessionToken,
};
use cloakroom_store_sled::SledStore;
use cloakroom_test_support::rounds;
use tokio::{runtime::Runtime, task::spawn_blocking};

use crate::support::reopened;

const SESSIONS: usize = 300;

/// How often a folder is damaged, of which others have their pages elsewhere: from some sled opens
/// whatever their end has lost, from some none.
const SIMILAR: u32 = 5;

/// Of a call that sled may never come back from.
const BRIEF: Duration = Duration::from_secs(2);

/// Of a process, and of a call in an undamaged folder, which only a busy machine delays.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name the folder and its sessions to the process that looks, and the deadline of its calls.
const FOLDER: &str = "CLOAKROOM_DAMAGED_FOLDER";
const IDS: &str = "CLOAKROOM_DAMAGED_SESSIONS";
const DEADLINE: &str = "CLOAKROOM_DAMAGED_DEADLINE_IN_SECONDS";

#[test]
fn a_folder_cut_at_its_end_shows_nothing_that_was_not_stored() {
    let test = "a_folder_cut_at_its_end_shows_nothing_that_was_not_stored";
    try_all("cuts", test, |folder| {
        let file = folder.join("db");
        let length = fs::metadata(&file).unwrap().len();
        let file = fs::File::options().write(true).open(file).unwrap();
        let cut = match fastrand::bool() {
            true => fastrand::u64(1..4096),
            false => fastrand::u64(1..length),
        };
        file.set_len(length - cut).unwrap();
    });
}

#[test]
fn a_folder_with_flipped_bits_shows_nothing_that_was_not_stored() {
    let test = "a_folder_with_flipped_bits_shows_nothing_that_was_not_stored";
    try_all("flips", test, |folder| {
        let files = files(folder);
        let file = match fastrand::bool() {
            true => &folder.join("db"),
            false => fastrand::choice(&files).unwrap(),
        };
        let mut bytes = fs::read(file).unwrap();
        for _ in 0..fastrand::u32(1..=8) {
            let bit = fastrand::usize(..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        fs::write(file, bytes).unwrap();
    });
}

/// So the comparison can find what is wrong: each session with the data of another.
#[tokio::test]
async fn what_nobody_stored_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let ids = filled(folder.path()).await;
    let shifted = ids.iter().skip(1).chain(&ids[..1]);
    let names: BTreeMap<_, _> = ids.iter().copied().zip(shifted.copied()).collect();
    let store = reopened(&SledStore::builder(folder.path()));
    let mut seen = Seen::default();
    for (id, other) in names {
        let found = store.load(other).await;
        seen.loaded(id, found);
    }
    println!("{seen}");
    assert_eq!(seen.wrong, seen.same);
    assert!(seen.wrong > SESSIONS / 2);
}

/// What was found in damaged folders.
#[derive(Debug, Default)]
struct Seen {
    refused: usize,
    same: usize,
    gone: usize,
    unreadable: usize,
    /// Folders that sled never came back from.
    stuck: usize,
    panics: usize,
    wrong: usize,
}

impl Seen {
    fn loaded(&mut self, id: SessionId, found: Result<Option<Record>>) {
        match found {
            Ok(Some(record)) => {
                self.same += 1;
                let is_right = record.data == data(id, record.revision) && record.owner.is_some();
                self.wrong += usize::from(!is_right);
            }
            Ok(None) => self.gone += 1,
            Err(_) => self.unreadable += 1,
        }
    }
}

impl Seen {
    /// Adds what a process has said.
    fn add(&mut self, said: &str) {
        let line = said.lines().find_map(|line| line.strip_prefix('@'));
        let pairs = line
            .unwrap()
            .split(' ')
            .map(|pair| pair.split_once('=').unwrap());
        for (name, more) in pairs {
            let all = match name {
                "refused" => &mut self.refused,
                "read" => &mut self.same,
                "gone" => &mut self.gone,
                "unreadable" => &mut self.unreadable,
                "stuck" => &mut self.stuck,
                "panics" => &mut self.panics,
                "wrong" => &mut self.wrong,
                other => panic!("{other}"),
            };
            *all += more.parse::<usize>().unwrap();
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refused,
            same,
            gone,
            unreadable,
            stuck,
            panics,
            wrong,
        } = self;
        write!(
            f,
            "refused={refused} read={same} gone={gone} unreadable={unreadable} stuck={stuck} \
             panics={panics} wrong={wrong}"
        )
    }
}

/// Looks at so many damaged folders, at each in a process of its own, since sled may never come
/// back from one.
fn try_all(what: &str, test: &str, damage: impl Fn(&Path)) {
    if let Some(folder) = env::var_os(FOLDER) {
        let ids = env::var(IDS).unwrap();
        let ids: Vec<_> = ids.split(' ').map(|id| id.parse().unwrap()).collect();
        let deadline = Duration::from_secs(env::var(DEADLINE).unwrap().parse().unwrap());
        let seen = look(folder.into(), &ids, deadline);
        let seen = Runtime::new().unwrap().block_on(seen);
        println!("\n@{seen}");
        // Not by returning: that would wait for what sled has not come back from.
        std::process::exit(0);
    }
    let rounds = rounds(20).next_multiple_of(SIMILAR);
    let (mut sessions, mut all) = (0, Seen::default());
    for _ in 0..rounds / SIMILAR {
        let whole = tempfile::tempdir().unwrap();
        let ids = Runtime::new().unwrap().block_on(filled(whole.path()));
        let mut undamaged = Seen::default();
        look_elsewhere(test, whole.path(), &ids, |_| (), PATIENCE, &mut undamaged);
        assert_eq!((undamaged.refused, undamaged.unreadable), (0, 0));
        assert!(undamaged.same > SESSIONS / 2, "{undamaged}");
        sessions += ids.len();
        for _ in 0..SIMILAR {
            look_elsewhere(test, whole.path(), &ids, &damage, BRIEF, &mut all);
        }
    }
    println!("{what}={rounds} sessions={sessions} {all}");
    assert_eq!((all.panics, all.wrong), (0, 0));
}

/// Has another process look at a copy of a folder that is damaged.
fn look_elsewhere(
    test: &str,
    whole: &Path,
    ids: &[SessionId],
    damage: impl Fn(&Path),
    deadline: Duration,
    seen: &mut Seen,
) {
    let names: Vec<_> = ids.iter().map(SessionId::to_string).collect();
    let folder = tempfile::tempdir().unwrap();
    copy(whole, folder.path());
    damage(folder.path());
    let output = folder.path().with_extension("seen");
    let mut child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .env(IDS, names.join(" "))
        .env(DEADLINE, deadline.as_secs().to_string())
        .stdout(fs::File::create(&output).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    match ended(&mut child) {
        Some(status) => {
            assert!(status.success(), "{status}");
            seen.add(&fs::read_to_string(&output).unwrap());
        }
        None => seen.stuck += 1,
    }
    fs::remove_file(output).unwrap();
}

/// How a child ended, if it did in time.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

async fn look(folder: PathBuf, ids: &[SessionId], deadline: Duration) -> Seen {
    let mut seen = Seen::default();
    let open = move || SledStore::builder(folder).deadline(deadline).open();
    match spawn_blocking(open).await {
        Ok(Ok(store)) => call(store, ids, &mut seen).await,
        Ok(Err(Error::Backend(_))) => seen.refused += 1,
        Ok(Err(other)) => panic!("{other:?}"),
        Err(_) => seen.panics += 1,
    }
    seen
}

/// Makes all kinds of calls. Any may fail; none may panic.
async fn call(store: SledStore, ids: &[SessionId], seen: &mut Seen) {
    for &id in ids {
        let node = store.clone();
        match tokio::spawn(async move { node.load(id).await }).await {
            Ok(Err(Error::Unavailable(_))) => {
                seen.stuck += 1;
                break;
            }
            Ok(found) => seen.loaded(id, found),
            Err(_) => seen.panics += 1,
        }
    }
    let some = *fastrand::choice(ids).unwrap();
    let calls = tokio::spawn(async move {
        let listed = store.list("ann").await.unwrap_or_default();
        let wrong = listed
            .iter()
            .filter(|record| record.data != data(record.id, record.revision));
        let wrong = wrong.count();
        let _ = store.stats().await;
        let _ = store.sweep(100.try_into().unwrap()).await;
        let new = new();
        let is_stored = matches!(store.save(&new).await, Ok(Saved::Stored(_)));
        let has_ended = store.expire(some).await.is_ok();
        // Who was told that it is stored is not told that it is not there, and who was told that it
        // has ended does not find it.
        let lost = is_stored && matches!(store.load(new.id).await, Ok(None));
        let revived = has_ended && matches!(store.load(some).await, Ok(Some(_)));
        let _ = store.expire_owner("ann", None).await;
        wrong + usize::from(lost) + usize::from(revived)
    });
    match calls.await {
        Ok(wrong) => seen.wrong += wrong,
        Err(_) => seen.panics += 1,
    }
}

/// Sessions that were saved up to four times, moved and ended, a few of them large.
async fn filled(folder: &Path) -> Vec<SessionId> {
    let store = SledStore::open(folder).unwrap();
    let mut ids = Vec::new();
    for n in 0..SESSIONS {
        let mut record = new();
        for _ in 0..=n % 4 {
            record = saved(&store, record).await;
        }
        ids.push(record.id);
        if n % 5 == 0 {
            let old = record.id;
            record.id = SessionToken::generate().unwrap().id();
            record.data = data(record.id, record.revision + 1);
            let rotated = store.rotate(old, &record, Age::Keep).await.unwrap();
            assert!(matches!(rotated, Saved::Stored(_)));
            ids.push(record.id);
        }
        if n % 7 == 0 {
            assert!(store.expire(record.id).await.unwrap());
        }
    }
    ids
}

fn new() -> Record {
    let id = SessionToken::generate().unwrap().id();
    Record {
        owner: "ann".parse().ok(),
        data: data(id, 1),
        ..Record::new(id, Lifetime::BROWSER)
    }
}

async fn saved(store: &SledStore, mut record: Record) -> Record {
    record.data = data(record.id, record.revision + 1);
    match store.save(&record).await.unwrap() {
        Saved::Stored(stamp) => record.stored(stamp),
        other => panic!("{other:?}"),
    }
}

/// It says whose it is, and of which revision.
fn data(id: SessionId, revision: u64) -> Data {
    let mark = format!("\"{id} {revision}\"");
    let filler = match id.as_bytes()[0] {
        0..16 => "1".repeat(50_000),
        other => "1".repeat(usize::from(other)),
    };
    Data::new(&[("filler", &*filler), ("mark", &*mark)].into()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path()],
        })
        .filter(|file| fs::metadata(file).unwrap().len() > 0)
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}
