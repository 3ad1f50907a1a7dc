//! A folder that was cut or damaged opens or says that it cannot, panics in nobody's call and
//! never shows what nobody stored. `CLOAKROOM_ROUNDS` sets how often.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    path::{Path, PathBuf},
};

use cloakroom_store_api::{
    Age, Data, Error, Lifetime, Record, Result, Saved, SessionId, SessionStore, SessionToken,
};
use cloakroom_store_sled::SledStore;

const SESSIONS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_cut_at_its_end_shows_nothing_that_was_not_stored() {
    try_all("cuts", |folder| {
        let file = folder.join("db");
        let length = fs::metadata(&file).unwrap().len();
        let file = fs::File::options().write(true).open(file).unwrap();
        let cut = match fastrand::bool() {
            true => fastrand::u64(1..4096),
            false => fastrand::u64(1..length),
        };
        file.set_len(length - cut).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_with_flipped_bits_shows_nothing_that_was_not_stored() {
    try_all("flips", |folder| {
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
    })
    .await;
}

/// So the comparison can find what is wrong: each session with the data of another.
#[tokio::test]
async fn what_nobody_stored_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let ids = filled(folder.path()).await;
    let shifted = ids.iter().skip(1).chain(&ids[..1]);
    let names: BTreeMap<_, _> = ids.iter().copied().zip(shifted.copied()).collect();
    let store = SledStore::open(folder.path()).unwrap();
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

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refused,
            same,
            gone,
            unreadable,
            panics,
            wrong,
        } = self;
        write!(
            f,
            "refused={refused} read={same} gone={gone} unreadable={unreadable} panics={panics} \
             wrong={wrong}"
        )
    }
}

async fn try_all(what: &str, damage: impl Fn(&Path)) {
    let rounds: usize = env::var("CLOAKROOM_ROUNDS").map_or(20, |rounds| {
        rounds.parse().expect("CLOAKROOM_ROUNDS is a number")
    });
    let whole = tempfile::tempdir().unwrap();
    let ids = filled(whole.path()).await;
    let mut seen = Seen::default();
    for _ in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        copy(whole.path(), folder.path());
        damage(folder.path());
        let path = folder.path().to_owned();
        let opened = tokio::task::spawn_blocking(move || SledStore::open(path)).await;
        match opened {
            Ok(Ok(store)) => look(store, &ids, &mut seen).await,
            Ok(Err(Error::Backend(_))) => seen.refused += 1,
            Ok(Err(other)) => panic!("{other:?}"),
            Err(_) => seen.panics += 1,
        }
    }
    println!("{what}={rounds} sessions={} {seen}", ids.len());
    assert!(seen.same > 0, "nothing was read");
    assert_eq!((seen.panics, seen.wrong), (0, 0));
}

/// Makes all kinds of calls. Any may fail; none may panic.
async fn look(store: SledStore, ids: &[SessionId], seen: &mut Seen) {
    for &id in ids {
        let node = store.clone();
        match tokio::spawn(async move { node.load(id).await }).await {
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
        // Who was told that it is stored finds it, and who was told that it has ended does not.
        let lost = is_stored && !matches!(store.load(new.id).await, Ok(Some(_)));
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
