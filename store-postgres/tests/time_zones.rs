//! A session's time zone changes nothing. Needs a server: `scripts/with-servers`.

mod support;

use cloakroom_store_api::{
    Age, Record, Saved, SessionId, SessionStore, SessionToken, conformance::Subject,
};
use cloakroom_store_postgres::{PostgresStore, PostgresStoreBuilder, TableName};
use sqlx::{AssertSqlSafe, Executor, PgConnection, postgres::PgPoolOptions};

mod new_york {
    cloakroom_store_api::conformance_tests!(crate::Zone("America/New_York"));
}

mod tokyo {
    cloakroom_store_api::conformance_tests!(crate::Zone("Asia/Tokyo"));
}

mod kathmandu {
    cloakroom_store_api::conformance_tests!(crate::Zone("Asia/Kathmandu"));
}

/// A table of its own for each store, whose connections are all in this time zone.
struct Zone(&'static str);

impl Zone {
    /// A role's own setting would not do: sqlx asks for UTC when it connects, which outranks it.
    async fn builder(&self, table: TableName) -> PostgresStoreBuilder {
        let zone = self.0;
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .after_connect(move |connection, _| Box::pin(move_to(zone, connection)))
            .connect(&support::server())
            .await
            .unwrap();
        PostgresStoreBuilder::from(pool).table(table)
    }
}

async fn move_to(zone: &str, connection: &mut PgConnection) -> sqlx::Result<()> {
    let set = format!("set time zone '{zone}'");
    connection.execute(AssertSqlSafe(set)).await?;
    let shown: String = sqlx::query_scalar("select current_setting('TimeZone')")
        .fetch_one(connection)
        .await?;
    assert_eq!(shown, zone);
    Ok(())
}

impl Subject for Zone {
    type Store = PostgresStore;

    async fn store(&self) -> PostgresStore {
        support::migrated(self.builder(support::unique_table()).await).await
    }

    async fn node(&self, store: &PostgresStore) -> PostgresStore {
        let builder = self.builder(store.table().clone()).await;
        builder.connect().await.unwrap()
    }

    async fn spoil(&self, store: &PostgresStore, id: SessionId) {
        support::spoil(store, id).await;
    }

    async fn due(&self, store: &PostgresStore) {
        support::make_due(store).await;
    }
}

/// The hour by which sweeps find what is dead is the world's, also where it does not begin with
/// the hours of the place.
#[tokio::test]
async fn a_sweep_goes_by_the_hours_of_the_world() {
    let zone = Zone("Asia/Kathmandu");
    let store = zone.store().await;
    let record = support::stored(&store, support::record()).await;
    store.touch(record.id, record.revision).await.unwrap();
    let moved = Record {
        id: SessionToken::generate().unwrap().id(),
        ..support::stored(&store, record.clone()).await
    };
    let rotated = store.rotate(record.id, &moved, Age::Restart).await.unwrap();
    assert!(matches!(rotated, Saved::Stored(_)), "{rotated:?}");
    for _ in 0..2 {
        support::stored(&store, support::record()).await;
    }
    let table = store.table();
    let wrong = format!(
        "select count(*) from {table}
        where sweep_hour <> ceil(date_part('epoch', expires_at) / 3600)"
    );
    let sessions = support::number(&format!("select count(*) from {table}")).await;
    println!(
        "sessions={sessions} wrong={}",
        support::number(&wrong).await
    );
    assert_eq!((sessions, support::number(&wrong).await), (3, 0));
}
