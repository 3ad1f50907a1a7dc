//! A load on a store.

use std::{
    future::Future,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use cloakroom::store::{Age, Record, Result, Saved, SessionStore, SessionToken};

use crate::sample::Size;

type Store = Arc<dyn SessionStore>;

/// How many sessions there are at a time.
const SESSIONS: usize = 4096;

const BATCH: NonZeroU32 = NonZeroU32::new(1000).expect("it is not 0");

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `load` of a live session.
    LoadHit,
    /// `load` of an id that the store does not know.
    LoadMiss,
    /// `save` of a new session.
    Create,
    /// `save` of a live session, each time at its newest revision.
    Save,
    /// `touch` of a live session.
    Touch,
    /// `rotate` of a live session.
    Rotate,
    /// `expire` of a live session.
    Expire,
    /// `list` of an owner with five sessions.
    List,
    /// `sweep` where nothing is dead.
    SweepIdle,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::LoadHit,
        Self::LoadMiss,
        Self::Create,
        Self::Save,
        Self::Touch,
        Self::Rotate,
        Self::Expire,
        Self::List,
        Self::SweepIdle,
    ];

    /// As it stands in the reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LoadHit => "load hit",
            Self::LoadMiss => "load miss",
            Self::Create => "create",
            Self::Save => "save",
            Self::Touch => "touch",
            Self::Rotate => "rotate",
            Self::Expire => "expire",
            Self::List => "list",
            Self::SweepIdle => "sweep idle",
        }
    }

    /// Runs it so many times, from so many callers at once; says how long that took. What it
    /// needs is prepared, and what it leaves is removed, outside of that time.
    ///
    /// # Panics
    ///
    /// If the store fails.
    pub async fn run(self, store: &Store, size: Size, callers: usize, times: u64) -> Duration {
        let mut took = Duration::ZERO;
        let mut left = usize::try_from(times).expect("it would take for ever");
        let mut records = Vec::new();
        while left > 0 {
            let count = left.min(SESSIONS);
            left -= count;
            records = self.prepare(store, size, records, count).await;
            let started = Instant::now();
            records = at_once(callers, records, store, move |store, record| {
                self.act(store, record)
            })
            .await;
            took += started.elapsed();
        }
        remove(store, records).await;
        took
    }

    async fn prepare(
        self,
        store: &Store,
        size: Size,
        mut records: Vec<Record>,
        count: usize,
    ) -> Vec<Record> {
        match self {
            Self::LoadMiss => size.records(count),
            Self::Create => {
                remove(store, records).await;
                size.records(count)
            }
            Self::Expire => stored(store, size.records(count)).await,
            _ if records.is_empty() => stored(store, size.records(count)).await,
            _ => {
                remove(store, records.split_off(count.min(records.len()))).await;
                records
            }
        }
    }

    async fn act(self, store: Store, record: Record) -> Result<Record> {
        match self {
            Self::LoadHit => {
                let loaded = store.load(record.id).await?;
                assert!(loaded.is_some());
            }
            Self::LoadMiss => assert_eq!(store.load(record.id).await?, None),
            Self::Create | Self::Save => return save(store, record).await,
            Self::Touch => {
                let touched = store.touch(record.id, record.revision).await?;
                assert!(touched.is_some());
            }
            Self::Rotate => {
                let moved = Record {
                    id: SessionToken::generate()?.id(),
                    ..record
                };
                let rotated = store.rotate(record.id, &moved, Age::Keep).await?;
                return Ok(moved.stored(stamp(rotated)));
            }
            Self::Expire => assert!(store.expire(record.id).await?),
            Self::List => {
                let owner = record.owner.as_deref().expect("every sample has one");
                assert!(!store.list(owner).await?.is_empty());
            }
            Self::SweepIdle => assert_eq!(store.sweep(BATCH).await?.removed, 0),
        }
        Ok(record)
    }
}

async fn save(store: Store, record: Record) -> Result<Record> {
    let saved = store.save(&record).await?;
    Ok(record.stored(stamp(saved)))
}

async fn expire(store: Store, record: Record) -> Result<Record> {
    store.expire(record.id).await?;
    Ok(record)
}

fn stamp(saved: Saved) -> cloakroom::store::Stamp {
    match saved {
        Saved::Stored(stamp) => stamp,
        refused => panic!("nobody else has this session, yet: {refused:?}"),
    }
}

/// Stores these sessions.
///
/// # Panics
///
/// If the store fails.
pub async fn stored(store: &Store, records: Vec<Record>) -> Vec<Record> {
    at_once(64, records, store, save).await
}

/// Ends these sessions.
///
/// # Panics
///
/// If the store fails.
pub async fn remove(store: &Store, records: Vec<Record>) {
    at_once(64, records, store, expire).await;
}

/// So many callers share the sessions, and each acts on its own one after another.
async fn at_once<F, Act>(
    callers: usize,
    records: Vec<Record>,
    store: &Store,
    act: Act,
) -> Vec<Record>
where
    F: Future<Output = Result<Record>> + Send,
    Act: Fn(Store, Record) -> F + Copy + Send + 'static,
{
    let share = records.len().div_ceil(callers).max(1);
    let mut records = records.into_iter();
    let mut tasks = Vec::with_capacity(callers);
    loop {
        let share: Vec<_> = records.by_ref().take(share).collect();
        if share.is_empty() {
            break;
        }
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let mut done = Vec::with_capacity(share.len());
            for record in share {
                done.push(
                    act(Arc::clone(&store), record)
                        .await
                        .expect("a working store"),
                );
            }
            done
        }));
    }
    let mut all = Vec::with_capacity(records.len());
    for task in tasks {
        all.extend(task.await.expect("a caller that does not panic"));
    }
    all
}
