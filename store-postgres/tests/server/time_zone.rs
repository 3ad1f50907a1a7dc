//! A role's time zone changes nothing: here it is 5:45 hours from UTC.

use cloakroom_store_api::{
    SessionId,
    conformance::{self, Subject},
};
use cloakroom_store_postgres::{PostgresStore, PostgresStoreBuilder, TableName};
use sqlx::{Executor, postgres::PgPoolOptions};

use crate::support::{migrated, server, unique_table};

struct Kathmandu;

impl Subject for Kathmandu {
    type Store = PostgresStore;

    async fn store(&self) -> PostgresStore {
        migrated(there(unique_table()).await).await
    }

    async fn node(&self, store: &PostgresStore) -> PostgresStore {
        there(store.table().clone()).await.connect().await.unwrap()
    }

    async fn spoil(&self, _: &PostgresStore, _: SessionId) {
        unreachable!("no check of time spoils a record")
    }
}

/// sqlx asks for UTC when it connects; this pool asks for something else.
async fn there(table: TableName) -> PostgresStoreBuilder {
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute("set time zone 'Asia/Kathmandu'")
                    .await
                    .map(drop)
            })
        })
        .connect(&server())
        .await
        .unwrap();
    PostgresStoreBuilder::from(pool).table(table)
}

macro_rules! checks_of_time {
    ($($module:ident::$check:ident)*) => {$(
        #[test]
        fn $check() {
            conformance::run(conformance::$module::$check(Kathmandu));
        }
    )*};
}

checks_of_time! {
    load::an_expired_session_loads_as_none
    load::a_session_dies_at_its_deadline
    load::what_is_loaded_is_what_was_saved
    save::the_store_dates_a_new_record
    save::a_dead_leftover_is_replaced
    save::an_expired_session_cannot_be_saved
    save::a_save_moves_the_deadline_by_the_records_own_lifetime
    save::a_save_stops_at_the_absolute_timeout
    save::a_deadline_that_is_not_after_now_ends_the_session
    save::the_longest_lifetime_is_kept
    touch::a_touch_moves_the_deadline
    touch::a_dead_session_cannot_be_touched
    touch::a_touch_stops_at_the_absolute_timeout
    rotate::a_rotation_keeps_or_restarts_the_age
    rotate::a_rotation_past_the_deadline_ends_the_session
    owners::an_owner_has_exactly_its_live_sessions
    sweep::a_sweep_removes_only_the_dead
    all::what_is_stored_is_counted
}
