//! What the examples that measure a store share.

use std::{
    collections::BTreeMap,
    error::Error,
    future::Future,
    hint::black_box,
    time::{Duration, Instant},
};

use cloakroom_store_api::{Data, Lifetime, Record, Saved, SessionId, SessionStore, SessionToken};

/// What a measurement comes to.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A new session of half a kilobyte, whose owner has no other.
///
/// # Errors
///
/// If there is no randomness.
pub fn session() -> Outcome<Record> {
    let cart = format!("[{}1]", "1234567,".repeat(50));
    let id = SessionToken::generate()?.id();
    Ok(Record {
        owner: Some(format!("user-{id}").parse()?),
        data: Data::new(&BTreeMap::from([("cart", &*cart), ("theme", "\"dark\"")]))?,
        ..Record::new(id, Lifetime::PERSISTENT)
    })
}

/// So many sessions, stored.
///
/// # Errors
///
/// The store's.
pub async fn sessions(store: &(impl SessionStore + Clone), count: usize) -> Outcome<Vec<Record>> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { stored(&store, session()?).await })
        })
        .collect();
    let mut records = Vec::new();
    for task in tasks {
        records.push(task.await??);
    }
    Ok(records)
}

/// Their ids, in another order for each caller.
#[must_use]
pub fn ids(records: &[Record], caller: usize) -> Vec<SessionId> {
    let mut ids: Vec<_> = records.iter().map(|record| record.id).collect();
    fastrand::Rng::with_seed(caller as u64).shuffle(&mut ids);
    ids
}

/// How many calls so many callers make all together.
///
/// # Errors
///
/// The first of theirs.
pub async fn all<F: Future<Output = Outcome<u32>> + Send + 'static>(
    callers: usize,
    call: impl Fn(usize) -> F,
) -> Outcome<u32> {
    let tasks: Vec<_> = (0..callers)
        .map(|caller| tokio::spawn(call(caller)))
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(done)
}

/// Does something for one session after another, and so on for so long; says how often.
///
/// # Errors
///
/// The first.
pub async fn each<F: Future<Output = Outcome<()>>>(
    time: Duration,
    ids: Vec<SessionId>,
    act: impl Fn(SessionId) -> F,
) -> Outcome<u32> {
    let (started, mut done) = (Instant::now(), 0);
    for id in ids.iter().cycle() {
        if started.elapsed() >= time {
            break;
        }
        act(*id).await?;
        done += 1;
    }
    Ok(done)
}

/// Loads one session after another.
///
/// # Errors
///
/// The store's.
pub async fn loads(
    store: impl SessionStore + Clone,
    time: Duration,
    ids: Vec<SessionId>,
) -> Outcome<u32> {
    each(time, ids, |id| {
        let store = store.clone();
        async move {
            black_box(store.load(id).await?.ok_or("not found")?);
            Ok(())
        }
    })
    .await
}

/// Creates a session and saves it again and again.
///
/// # Errors
///
/// The store's.
pub async fn saves(store: impl SessionStore, time: Duration) -> Outcome<u32> {
    let mut record = session()?;
    let (started, mut done) = (Instant::now(), 0);
    while started.elapsed() < time {
        record = stored(&store, record).await?;
        done += 1;
    }
    store.expire(record.id).await?;
    Ok(done)
}

/// Creates one session after another.
///
/// # Errors
///
/// The store's.
pub async fn creates(store: impl SessionStore, time: Duration) -> Outcome<u32> {
    let (started, mut done) = (Instant::now(), 0);
    while started.elapsed() < time {
        stored(&store, session()?).await?;
        done += 1;
    }
    Ok(done)
}

async fn stored(store: &impl SessionStore, record: Record) -> Outcome<Record> {
    match store.save(&record).await? {
        Saved::Stored(stamp) => Ok(record.stored(stamp)),
        other => Err(format!("{other:?}").into()),
    }
}

/// The one in the middle.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
