//! Measures the store: `cargo run --release -p cloakroom-store-sled --example sled_throughput`.
//!
//! Durable saves a second at 1, 16 and 64 callers, and loads beside sled's own `get`. The
//! folder is made in the working directory: `/tmp` may be in memory.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use cloakroom_store_api::{SessionId, SessionStore};
use cloakroom_store_sled::SledStore;
use cloakroom_test_support::throughput::{Outcome, all, saves, sessions};

/// About what a row of `record` takes.
const ROW: usize = 560;

const SESSIONS: usize = 10_000;
const TIME: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir_in(".")?;
    let path = folder.path().join("sessions");
    let store = SledStore::open(&path)?;
    for callers in [1, 16, 64] {
        let started = Instant::now();
        let done = all(callers, |_| saves(store.clone(), TIME)).await?;
        let saves = f64::from(done) / started.elapsed().as_secs_f64();
        println!("durable saves/s at {callers:>2} callers: {saves:>8.0}");
    }

    // The same rows once more, so that both are measured in turn, under the same conditions.
    let raw = sled::open(folder.path().join("raw"))?;
    let mut ids = Vec::new();
    for _ in 0..SESSIONS / 64 {
        let records = sessions(&store, 64).await?;
        ids.extend(records.iter().map(|record| record.id));
    }
    for id in &ids {
        raw.insert(id.as_bytes(), vec![0; ROW])?;
    }
    compare("as saved", &store, &raw, &ids).await?;
    for id in &ids {
        store.touch(*id, 1).await?;
    }
    compare("touched", &store, &raw, &ids).await
}

async fn compare(state: &str, store: &SledStore, raw: &sled::Db, ids: &[SessionId]) -> Outcome<()> {
    let (mut loading, mut getting, mut rounds) = (Duration::ZERO, Duration::ZERO, 0_u32);
    while loading < TIME {
        let started = Instant::now();
        for id in ids {
            black_box(store.load(*id).await?.ok_or("not found")?);
        }
        loading += started.elapsed();
        let started = Instant::now();
        for id in ids {
            black_box(raw.get(id.as_bytes())?.ok_or("not found")?);
        }
        getting += started.elapsed();
        rounds += 1;
    }
    let each = |time: Duration| time / rounds / u32::try_from(ids.len()).unwrap_or(u32::MAX);
    println!(
        "load of sessions {state}: {:?}, raw get: {:?}, ratio {:.2}",
        each(loading),
        each(getting),
        getting.as_secs_f64() / loading.as_secs_f64()
    );
    Ok(())
}
