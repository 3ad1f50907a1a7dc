//! Measures how many bytes a session takes: how many sessions, of how many bytes in five
//! entries, and `owned` if each is to have an owner of its own.
//!
//! ```sh
//! cargo run --release -p cloakroom-store-memory --example memory -- 1000000 300 owned
//! ```

use std::{collections::BTreeMap, env, error::Error, fs};

use cloakroom_store_api::{Data, Lifetime, Record, SessionStore, SessionToken};
use cloakroom_store_memory::MemoryStore;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let sessions: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let payload: usize = arguments.next().map_or(Ok(300), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(measure(
        sessions,
        payload,
        arguments.next().as_deref() == Some("owned"),
    ))
}

async fn measure(sessions: u64, payload: usize, owned: bool) -> Result<(), Box<dyn Error>> {
    let store = MemoryStore::new();
    let values: Vec<_> = (0..5)
        .map(|n| "7".repeat(payload / 5 - 4 - n / 4))
        .collect();
    let entries = ["a", "b", "c", "d", "e"]
        .into_iter()
        .zip(values.iter().map(|value| &**value));
    let entries = BTreeMap::from_iter(entries);
    let encoded = Record {
        data: Data::new(&entries)?,
        ..Record::new(SessionToken::generate()?.id(), Lifetime::BROWSER)
    }
    .encode()?
    .len();

    let before = resident()?;
    for n in 0..sessions {
        let record = Record {
            // Each has its own: a store shares them with the record that it was given.
            data: Data::new(&entries)?,
            owner: owned.then(|| format!("user-{n}").parse()).transpose()?,
            ..Record::new(SessionToken::generate()?.id(), Lifetime::BROWSER)
        };
        let _ = store.save(&record).await?;
    }
    store.sweep(std::num::NonZeroU32::MAX).await?;
    let taken = resident()?.saturating_sub(before);
    let live = store.stats().await?.browser;
    println!(
        "sessions={live} encoded_bytes={encoded} bytes_per_session={}",
        taken / live.max(1)
    );
    Ok(())
}

/// Bytes of memory that this process has, as Linux counts them.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmRSS")?;
    Ok(kibibytes.parse::<u64>()? * 1024)
}
