//! Stores in memory.

use std::sync::Arc;

use anyhow::{Context, Result};
use cloakroom::MemoryStore;
use moka::sync::Cache;

use crate::{
    entrants::{
        Group, bytes,
        ours::Ours,
        tower::{TowerSessions, TowerSessions14},
    },
    measure::{Entrant, Named, SESSIONS},
};

pub async fn group() -> Result<Group> {
    let peer = tower_sessions::MemoryStore::default();
    let moka = tower_sessions_moka_store::MokaStore::new(None);
    Ok(Group {
        name: "memory",
        entrants: vec![
            Named::new("cloakroom", Ours::new(MemoryStore::new()).await?),
            Named::new("tower-sessions memory", TowerSessions::new(peer).await?),
            Named::new("tower-sessions moka", TowerSessions14::new(moka).await?),
            Named::new("raw moka", Raw::new()),
        ],
    })
}

/// Bytes by id, with nothing to judge.
struct Raw {
    cache: Cache<[u8; 16], Arc<[u8]>>,
    ids: Vec<[u8; 16]>,
    bytes: Vec<u8>,
}

impl Raw {
    fn new() -> Self {
        let raw = Self {
            cache: Cache::builder().build(),
            ids: (0..SESSIONS)
                .map(|_| fastrand::u128(..).to_be_bytes())
                .collect(),
            bytes: bytes(),
        };
        for id in &raw.ids {
            raw.cache.insert(*id, raw.bytes.as_slice().into());
        }
        raw
    }
}

impl Entrant for Raw {
    async fn load(&self, session: usize) -> Result<()> {
        self.cache
            .get(&self.ids[session])
            .context("it is there")
            .map(drop)
    }

    async fn save(&self, session: usize) -> Result<()> {
        self.cache
            .insert(self.ids[session], self.bytes.as_slice().into());
        Ok(())
    }

    async fn create(&self) -> Result<()> {
        self.cache.insert(
            fastrand::u128(..).to_be_bytes(),
            self.bytes.as_slice().into(),
        );
        Ok(())
    }
}
