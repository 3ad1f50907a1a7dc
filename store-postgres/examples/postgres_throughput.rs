//! Measures the store: `scripts/with-servers cargo run --release -p cloakroom-store-postgres
//! --example postgres_throughput`.
//!
//! Loads and durable saves at 1, 16 and 64 callers, beside plain sqlx with one statement for
//! each call and a pool of 16 connections: as sqlx has it, which pings a connection before it
//! lends it, and without the ping. All are measured in turn; what is shown are medians of calls
//! a second, and the store's beside the others'.

use std::{
    future::Future,
    hint::black_box,
    time::{Duration, Instant},
};

use cloakroom_store_api::{SessionId, SessionStore};
use cloakroom_store_postgres::{PostgresStore, TableName};
use cloakroom_test_support::throughput::{
    Outcome, all, each, ids, loads, median, saves, session, sessions,
};
use sqlx::{AssertSqlSafe, PgPool, Row, postgres::PgPoolOptions};

const SESSIONS: usize = 10_000;
const ROUNDS: usize = 7;
const TIME: Duration = Duration::from_millis(700);

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = std::env::var("CLOAKROOM_TEST_POSTGRES_URL")
        .map_err(|_| "CLOAKROOM_TEST_POSTGRES_URL is not set; scripts/with-servers sets it")?;
    let table: TableName = format!("throughput_{:016x}", fastrand::u64(..)).parse()?;
    let store = PostgresStore::builder(&url)
        .table(table.clone())
        .connect()
        .await?;
    store.migrate().await?;
    let (pool, pingless) = (pool(&url, true).await?, pool(&url, false).await?);
    let plain = [&pool, &pingless].map(|pool| Plain::new(pool, &table));
    let records = sessions(&store, SESSIONS).await?;
    sqlx::query(AssertSqlSafe(format!("vacuum analyze {table}")))
        .execute(&pool)
        .await?;

    for callers in [1, 16, 64] {
        let records = &records[..];
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            rates[0].push(rate(callers, |n| loads(store.clone(), TIME, ids(records, n))).await?);
            for (plain, rates) in plain.iter().zip(&mut rates[1..]) {
                rates.push(rate(callers, |n| plain.clone().loads(ids(records, n))).await?);
            }
        }
        show("loads", callers, rates);
    }
    for callers in [1, 16, 64] {
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            rates[0].push(rate(callers, |_| saves(store.clone(), TIME)).await?);
            for (plain, rates) in plain.iter().zip(&mut rates[1..]) {
                rates.push(rate(callers, |_| plain.clone().saves(store.clone())).await?);
            }
        }
        show("saves", callers, rates);
    }
    sqlx::raw_sql(AssertSqlSafe(format!("drop table {table}")))
        .execute(&pool)
        .await?;
    Ok(())
}

async fn pool(url: &str, pings: bool) -> sqlx::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(16)
        .min_connections(16)
        .test_before_acquire(pings)
        .connect(url)
        .await
}

/// One statement for each call, as simple as can be: no revision is compared.
#[derive(Clone)]
struct Plain {
    pool: PgPool,
    load: String,
    save: String,
}

impl Plain {
    fn new(pool: &PgPool, table: &TableName) -> Self {
        Self {
            pool: pool.clone(),
            load: format!(
                "select revision, created_at, expires_at, statement_timestamp(), payload
                from {table} where id = encode($1, 'hex')::uuid and expires_at > statement_timestamp()"
            ),
            save: format!(
                "update {table} set revision = revision + 1, payload = $2,
                expires_at = statement_timestamp() + idle_ms * interval '1 millisecond'
                where id = encode($1, 'hex')::uuid and expires_at > statement_timestamp()"
            ),
        }
    }

    async fn loads(self, ids: Vec<SessionId>) -> Outcome<u32> {
        let Self { pool, load, .. } = self;
        each(TIME, ids, move |id| {
            let (pool, load) = (pool.clone(), load.clone());
            async move {
                let row = sqlx::query(AssertSqlSafe(load))
                    .bind(&id.as_bytes()[..])
                    .fetch_one(&pool)
                    .await?;
                black_box(row.try_get::<Vec<u8>, _>(4)?);
                Ok(())
            }
        })
        .await
    }

    async fn saves(self, store: PostgresStore) -> Outcome<u32> {
        let Self { pool, save, .. } = self;
        let record = session()?;
        let _ = store.save(&record).await?;
        each(TIME, vec![record.id], move |id| {
            let (pool, save, payload) = (pool.clone(), save.clone(), record.encode());
            async move {
                let done = sqlx::query(AssertSqlSafe(save))
                    .bind(&id.as_bytes()[..])
                    .bind(payload?)
                    .execute(&pool)
                    .await?;
                (done.rows_affected() == 1)
                    .then_some(())
                    .ok_or_else(|| "refused".into())
            }
        })
        .await
    }
}

/// What all callers together do in a second.
async fn rate<F: Future<Output = Outcome<u32>> + Send + 'static>(
    callers: usize,
    call: impl Fn(usize) -> F,
) -> Outcome<f64> {
    let started = Instant::now();
    let done = all(callers, call).await?;
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}

fn show(what: &str, callers: usize, rates: [Vec<f64>; 3]) {
    let [ours, sqlx, pingless] = rates.map(median);
    println!(
        "{what} at {callers:>2} callers: {ours:>7.0}/s; sqlx {sqlx:>6.0}/s, ratio {:.2}; \
         without its ping {pingless:>6.0}/s, ratio {:.2}",
        ours / sqlx,
        ours / pingless
    );
}
