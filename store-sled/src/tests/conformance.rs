//! The contract.

use std::sync::Mutex;

use cloakroom_store_api::{ManualClock, SessionId, conformance::Subject, conformance_tests};
use tempfile::TempDir;

use crate::SledStore;

mod to_the_millisecond {
    use super::*;

    conformance_tests!(Fresh {
        clock: Some(ManualClock::new()),
        folders: Mutex::default(),
    });
}

/// Where time passes by itself, a session can die between a writer's judgement and a load.
mod as_time_passes {
    use super::*;

    conformance_tests!(Fresh {
        clock: None,
        folders: Mutex::default(),
    });
}

/// A folder of its own for each store.
struct Fresh {
    clock: Option<ManualClock>,
    folders: Mutex<Vec<TempDir>>,
}

impl Subject for Fresh {
    type Store = SledStore;

    async fn store(&self) -> SledStore {
        let folder = super::folder();
        let store = match &self.clock {
            Some(clock) => super::at(&folder, clock),
            None => SledStore::open(folder.path()).unwrap(),
        };
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
