//! `PostgresStore` is a session store. Needs a server: `scripts/with-servers`.

mod support;

use cloakroom_store_api::{SessionId, conformance::Subject, conformance_tests};
use cloakroom_store_postgres::PostgresStore;

conformance_tests!(Fresh);

/// A table of its own for each store.
struct Fresh;

impl Subject for Fresh {
    type Store = PostgresStore;

    async fn store(&self) -> PostgresStore {
        support::migrated(support::fresh()).await
    }

    async fn node(&self, store: &PostgresStore) -> PostgresStore {
        support::node(store).await
    }

    async fn spoil(&self, store: &PostgresStore, id: SessionId) {
        support::spoil(store, id).await;
    }

    async fn due(&self, store: &PostgresStore) {
        support::make_due(store).await;
    }
}
