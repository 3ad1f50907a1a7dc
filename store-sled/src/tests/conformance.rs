//! The contract. It stands in the crate because spoiling a record takes its trees.

use std::sync::Mutex;

use cloakroom_store_api::{ManualClock, SessionId, conformance::Subject, conformance_tests};
use tempfile::TempDir;

use crate::SledStore;

conformance_tests!(Fresh::default());

/// A folder of its own for each store.
#[derive(Default)]
struct Fresh {
    clock: ManualClock,
    folders: Mutex<Vec<TempDir>>,
}

impl Subject for Fresh {
    type Store = SledStore;

    async fn store(&self) -> SledStore {
        let folder = super::folder();
        let store = super::at(&folder, &self.clock);
        self.folders.lock().unwrap().push(folder);
        store
    }

    /// There is one process; it has other handles.
    async fn node(&self, store: &SledStore) -> SledStore {
        store.clone()
    }

    async fn spoil(&self, store: &SledStore, id: SessionId) {
        super::spoil(store, id);
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}
