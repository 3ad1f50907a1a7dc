use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::Future,
    ops::AddAssign,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cloakroom_store_api::{
    Age, Data, Error, Lifetime, Record, Result, Saved, SessionId, SessionStore, SessionToken,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;

/// What callers were told of their sessions, to be compared with what is there after a crash.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    news: HashMap<SessionId, News>,
    /// Of whom there was news since the last comparison.
    recent: Vec<SessionId>,
    answers: u64,
}

/// What a caller was told of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It has at least this revision.
    Stored(u64),
    /// Its end was asked for, and may have come or not.
    Ending,
    /// It has ended.
    Ended,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(revision) => write!(f, "{revision}"),
            Self::Ending => f.write_str("ending"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

impl FromStr for News {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ending" => Ok(Self::Ending),
            "ended" => Ok(Self::Ended),
            revision => revision.parse().map(Self::Stored),
        }
    }
}

/// How what a store has differs from what it has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Sessions that are gone, or older than their caller was told.
    pub lost: u32,
    /// Sessions that had ended.
    pub revived: u32,
    /// Sessions that cannot be read, or have another's data or another revision's.
    pub wrong: u32,
}

impl AddAssign for Differences {
    fn add_assign(&mut self, more: Self) {
        let Self {
            lost,
            revived,
            wrong,
        } = more;
        self.lost += lost;
        self.revived += revived;
        self.wrong += wrong;
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lost,
            revived,
            wrong,
        } = self;
        write!(f, "lost={lost} revived={revived} wrong={wrong}")
    }
}

impl Ledger {
    /// The owner of all sessions.
    pub const OWNER: &str = "everybody";

    /// Writes down what was told.
    pub fn note(&self, id: SessionId, news: News) {
        let mut told = self.0.lock();
        told.answers += u64::from(news != News::Ending);
        told.news.insert(id, news);
        told.recent.push(id);
    }

    /// How many answers were noted.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.0.lock().answers
    }

    /// Compares the sessions of which there was news since the last time.
    pub async fn compare(&self, store: &dyn SessionStore) -> Differences {
        let recent = std::mem::take(&mut self.0.lock().recent);
        let mut sessions: Vec<_> = recent.into_iter().map(|id| (id, self.of(id))).collect();
        sessions.sort_unstable_by_key(|(id, _)| *id);
        sessions.dedup();
        compare(store, &sessions).await
    }

    /// Compares all sessions, and what the store says of their owner.
    pub async fn compare_all(&self, store: &dyn SessionStore) -> Differences {
        let sessions: Vec<_> = self.0.lock().news.iter().map(|(id, n)| (*id, *n)).collect();
        let listed = answered(|| store.list(Self::OWNER)).await.unwrap().len() as u64;
        let stats = answered(|| store.stats()).await.unwrap();
        assert_eq!(listed, stats.browser, "the list");
        compare(store, &sessions).await
    }

    fn of(&self, id: SessionId) -> News {
        self.0.lock().news[&id]
    }

    /// Lets so many callers work on a store until they are told to stop, each for itself. What
    /// an unavailable store does not answer they leave.
    pub fn fill(self: &Arc<Self>, store: &Arc<dyn SessionStore>, callers: u32) -> Filling {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (ledger, store, stop) = (Arc::clone(self), Arc::clone(store), Arc::clone(&stop));
            tasks.spawn(async move {
                while !stop.load(Relaxed) {
                    let failed = work(&*store, &|id, news| ledger.note(id, news)).await;
                    match failed.unwrap_err() {
                        Error::Unavailable(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
        Filling { tasks, stop }
    }
}

/// Callers at work.
#[derive(Debug)]
pub struct Filling {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Filling {
    /// Waits for the callers' end. They notice once their store is unavailable.
    pub async fn end(self) {
        self.stop.store(true, Relaxed);
        self.tasks.join_all().await;
    }
}

/// Saves, rotates and ends sessions one after another until the store fails, and tells what it
/// answers. Of eight sessions one stays.
///
/// # Errors
///
/// The store's.
pub async fn work(
    store: &dyn SessionStore,
    tell: &(impl Fn(SessionId, News) + Sync),
) -> Result<Infallible> {
    for n in 1.. {
        let mut record = Record {
            owner: Ledger::OWNER.parse().ok(),
            ..Record::new(SessionToken::generate()?.id(), Lifetime::BROWSER)
        };
        for _ in 0..3 {
            record = marked(record);
            record = stored(record.clone(), store.save(&record).await?);
            tell(record.id, News::Stored(record.revision));
        }
        let old = record.id;
        tell(old, News::Ending);
        record.id = SessionToken::generate()?.id();
        record = marked(record);
        record = stored(
            record.clone(),
            store.rotate(old, &record, Age::Restart).await?,
        );
        tell(record.id, News::Stored(record.revision));
        tell(old, News::Ended);
        if n % 8 != 0 {
            tell(record.id, News::Ending);
            assert!(store.expire(record.id).await?, "nobody else ended it");
            tell(record.id, News::Ended);
        }
    }
    unreachable!("it goes on until the store fails")
}

/// With data that says whose it is, and of which revision once it is stored.
fn marked(record: Record) -> Record {
    let mark = mark(record.id, record.revision + 1);
    let data = Data::new(&[("mark", &*mark)].into()).expect("one small entry");
    Record { data, ..record }
}

fn mark(id: SessionId, revision: u64) -> String {
    format!("\"{id} {revision}\"")
}

fn stored(record: Record, saved: Saved) -> Record {
    match saved {
        Saved::Stored(stamp) => record.stored(stamp),
        other => panic!("{other:?}"),
    }
}

/// Asks until there is an answer: a machine that stands still may be slower than a deadline.
async fn answered<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    let began = Instant::now();
    loop {
        match ask().await {
            Err(Error::Unavailable(_)) if began.elapsed() < Duration::from_secs(30) => {}
            answer => return answer,
        }
    }
}

async fn compare(store: &dyn SessionStore, sessions: &[(SessionId, News)]) -> Differences {
    let mut differences = Differences::default();
    for &(id, news) in sessions {
        let found = match answered(|| store.load(id)).await {
            Ok(found) => found,
            Err(Error::Corrupt { .. }) => {
                differences.wrong += 1;
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        if let Some(found) = &found {
            let mark = mark(id, found.revision);
            differences.wrong += u32::from(found.data.get("mark") != Some(&*mark));
        }
        match (news, found) {
            (News::Stored(revision), Some(found)) if found.revision < revision => {
                differences.lost += 1;
            }
            (News::Stored(_), None) => differences.lost += 1,
            (News::Ended, Some(_)) => differences.revived += 1,
            _ => {}
        }
    }
    differences
}
