//! Who takes part.

pub mod memory;
pub mod ours;
pub mod postgres;
pub mod redis;
pub mod sled;
pub mod tower;

use std::collections::HashMap;

use cloakroom_benches::sample::Size;

use crate::measure::{Named, SESSIONS};

/// Those that share a backend. The first is ours.
pub struct Group {
    pub name: &'static str,
    pub entrants: Vec<Named>,
}

/// The entries of a small session, as peers keep them.
pub fn entries() -> HashMap<String, serde_json::Value> {
    let entries = Size::Small.entries().into_iter();
    entries
        .map(|(key, json)| (key.to_owned(), serde_json::from_str(&json).expect("JSON")))
        .collect()
}

/// The bytes of a small session, for drivers without a store.
pub fn bytes() -> Vec<u8> {
    Size::Small.record("user-1").encode().expect("it is small")
}

/// Makes each session, a few at a time.
pub async fn sessions<T, F>(make: impl Fn() -> F) -> anyhow::Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
{
    let mut all = Vec::with_capacity(SESSIONS);
    while all.len() < SESSIONS {
        let tasks: Vec<_> = (0..64.min(SESSIONS - all.len()))
            .map(|_| tokio::spawn(make()))
            .collect();
        for task in tasks {
            all.push(task.await??);
        }
    }
    Ok(all)
}
