//! Writes sessions by tower-sessions-sqlx-store, and prints what its table then has as SQL: what
//! the tests of `cloakroom import` read.
//!
//! ```sh
//! scripts/with-servers --only postgres cargo run --manifest-path benches-compare/Cargo.toml \
//!     --example tower_sessions_rows > cli/tests/program/tower_sessions.sql
//! ```

use std::{env, fmt::Write};

use serde_json::{Value, json};
use time::macros::datetime;
use tower_sessions_core::{
    SessionStore,
    session::{Id, Record},
};
use tower_sessions_sqlx_store::{
    PostgresStore,
    sqlx::{self, PgPool},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pool = PgPool::connect(&env::var("CLOAKROOM_TEST_POSTGRES_URL")?).await?;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await?;
    println!("-- Made by benches-compare/examples/tower_sessions_rows.rs. Above each row is what");
    println!("-- tower-sessions-sqlx-store 0.15.0 reads from it.");
    for (data, expiry_date) in [
        // As axum-login 0.18 writes it.
        (
            json!({ "axum-login.data": { "user_id": 17, "auth_hash": [0, 127, 250] } }),
            datetime!(2999-12-31 23:59:59.123456 UTC),
        ),
        (
            json!({
                "user": "Zoë",
                "cart": [1, -2, 18_446_744_073_709_551_615_u64, 0.1, true, null, { "": [] }],
                "slash/and~tilde": "\u{0}\"\\",
            }),
            datetime!(2999-01-01 00:00 UTC),
        ),
        (json!({}), datetime!(2999-01-01 00:00 UTC)),
        (json!({ "user": "gone" }), datetime!(2020-01-01 00:00 UTC)),
    ] {
        let mut record = Record {
            id: Id::default(),
            data: serde_json::from_value(data)?,
            expiry_date,
        };
        store.create(&mut record).await?;
        print_row(&pool, &store, &record.id).await?;
    }
    Ok(())
}

async fn print_row(pool: &PgPool, store: &PostgresStore, id: &Id) -> anyhow::Result<()> {
    let (data, expiry_date): (Vec<u8>, String) = sqlx::query_as(
        "select data, (expiry_date at time zone 'utc')::text || 'Z'
        from tower_sessions.session where id = $1",
    )
    .bind(id.to_string())
    .fetch_one(pool)
    .await?;
    let data = data.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let read = store.load(id).await?.map(|record| record.data);
    println!(
        "-- {id} {}",
        serde_json::to_value(read).unwrap_or(Value::Null)
    );
    println!("insert into session values ('{id}', '\\x{data}', '{expiry_date}');");
    Ok(())
}
