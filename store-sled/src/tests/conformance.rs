//! The contract.

use std::sync::{Arc, Mutex};

use cloakroom_store_api::{ManualClock, SessionId, conformance::Subject, conformance_tests};
use tempfile::TempDir;

use crate::SledStore;

mod to_the_millisecond {
    use super::*;

    conformance_tests!(Fresh {
        clock: Some(ManualClock::new()),
        has_cache: true,
        folders: Mutex::default(),
    });
}

/// Where time passes by itself, a session can die between a writer's judgement and a load.
mod as_time_passes {
    use super::*;

    conformance_tests!(Fresh {
        clock: None,
        has_cache: true,
        folders: Mutex::default(),
    });
}

/// Where no session stays in memory, and each load goes to the trees through other threads.
mod from_the_trees {
    use super::*;

    conformance_tests!(Fresh {
        clock: Some(ManualClock::new()),
        has_cache: false,
        folders: Mutex::default(),
    });
}

/// A folder of its own for each store.
struct Fresh {
    clock: Option<ManualClock>,
    has_cache: bool,
    folders: Mutex<Vec<TempDir>>,
}

impl Subject for Fresh {
    type Store = SledStore;

    async fn store(&self) -> SledStore {
        let folder = super::folder();
        let mut builder = SledStore::builder(folder.path());
        if let Some(clock) = &self.clock {
            builder = builder.clock(Arc::new(clock.clone()));
        }
        if !self.has_cache {
            builder = builder.cache_capacity(0);
        }
        let store = builder.open().unwrap();
        self.folders.lock().unwrap().push(folder);
        store
    }

    /// There is one process; it has other handles.
    async fn node(&self, store: &SledStore) -> SledStore {
        store.clone()
    }

    async fn spoil(&self, store: &SledStore, id: SessionId) {
        store.spoil(id).unwrap();
    }

    fn clock(&self) -> Option<&ManualClock> {
        self.clock.as_ref()
    }
}
