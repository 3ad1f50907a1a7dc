//! The store that the documentation shows conforms.

use std::sync::Arc;

use cloakroom_store_api::{ManualClock, SessionId, conformance::Subject};

use crate::tiny_store::TinyStore;

#[allow(dead_code, unreachable_pub, missing_docs)]
#[path = "../examples/tiny_store.rs"]
mod tiny_store;

cloakroom_store_api::conformance_tests!(Fresh::default());

#[derive(Default)]
struct Fresh {
    clock: ManualClock,
}

impl Subject for Fresh {
    type Store = Arc<TinyStore>;

    async fn store(&self) -> Self::Store {
        Arc::new(TinyStore::new(Arc::new(self.clock.clone())))
    }

    async fn node(&self, store: &Self::Store) -> Self::Store {
        Arc::clone(store)
    }

    async fn spoil(&self, store: &Self::Store, id: SessionId) {
        store.spoil(id);
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}
