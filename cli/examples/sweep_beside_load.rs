//! Measures `cloakroom sweep` beside a running application:
//!
//! ```sh
//! cargo build --release --package cloakroom-cli
//! scripts/with-servers cargo run --release --package cloakroom-cli --example sweep_beside_load
//! ```
//!
//! A table has 1,000,000 sessions, every second of them dead for more than an hour. Four readers
//! load and one toucher touches live sessions, each a thousand times a second if it can, first
//! alone and then beside the sweep. Arguments of this program go to the sweep, such as
//! `--batch 500 --pause 5ms`.

use std::{
    env,
    error::Error,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cloakroom_store_api::{Data, Lifetime, Record, SessionId, SessionStore, SessionToken};
use cloakroom_store_postgres::{PostgresStore, TableName};
use hdrhistogram::Histogram;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{
    process::Command,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SESSIONS: u64 = 1_000_000;
const READERS: usize = 4;
const EVERY: Duration = Duration::from_millis(1);
const WARM_UP: Duration = Duration::from_secs(3);
const BEFORE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = env::var("CLOAKROOM_TEST_POSTGRES_URL")
        .map_err(|_| "CLOAKROOM_TEST_POSTGRES_URL is not set; scripts/with-servers sets it")?;
    let table: TableName = format!("beside_load_{:016x}", fastrand::u64(..)).parse()?;
    let store = PostgresStore::builder(&url).table(table).connect().await?;
    store.migrate().await?;
    let measured = measure(&url, &store).await;
    store.drop_tables().await?;
    measured
}

async fn measure(url: &str, store: &PostgresStore) -> Outcome<()> {
    let mut admin = PgConnection::connect(url).await?;
    fill(&mut admin, store.table()).await?;
    let live = live_ids(&mut admin, store.table()).await?;
    let stats = store.stats().await?;
    println!("live={} expired={}", stats.browser, stats.expired);

    load(store, &live, sleep(WARM_UP)).await?;
    let (before, ()) = load(store, &live, sleep(BEFORE)).await?;
    before.show("before");
    let (during, report) = load(store, &live, sweep(url, store.table())).await?;
    during.show("during");
    println!("sweep: {}", report?.trim());
    println!(
        "readers' p99: {:.1} times what it was before",
        during.p99() / before.p99()
    );
    let stats = store.stats().await?;
    println!("live={} expired={}", stats.browser, stats.expired);

    insert(&mut admin, store.table(), SESSIONS / 2, "1").await?;
    vacuum(&mut admin, store.table()).await?;
    println!("{SESSIONS} live ones:");
    for _ in 0..3 {
        println!("sweep: {}", sweep(url, store.table()).await?.trim());
    }
    Ok(())
}

/// Every second session is dead, for an hour and a bit up to a month.
async fn fill(admin: &mut PgConnection, table: &TableName) -> Outcome<()> {
    let alternately = "case when i % 2 = 0 then 1 else -2 - i % 720 end";
    insert(admin, table, SESSIONS, alternately).await?;
    vacuum(admin, table).await
}

/// As autovacuum would, sooner or later.
async fn vacuum(admin: &mut PgConnection, table: &TableName) -> Outcome<()> {
    sqlx::query(AssertSqlSafe(format!("vacuum analyze {table}")))
        .execute(admin)
        .await?;
    Ok(())
}

/// Sessions of 400 bytes of data, `hours` from their end.
async fn insert(
    admin: &mut PgConnection,
    table: &TableName,
    count: u64,
    hours: &str,
) -> Outcome<()> {
    let data = "x".repeat(398);
    let data = Data::new(&[("cart", &*format!("\"{data}\""))].into())?;
    let lifetime = Lifetime::BROWSER;
    let payload = Record {
        data,
        ..Record::new(SessionToken::generate()?.id(), lifetime)
    }
    .encode()?;
    let sql = format!(
        "insert into {table}
        select gen_random_uuid(), 1, ends - interval '1 hour', ends,
            ceil(extract(epoch from ends) / 3600)::integer, $1, $2, 0, 'user-' || i % 100000, $3
        from generate_series(1, $4::bigint) i,
            lateral (select now() + ({hours}) * interval '1 hour' as ends) e"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(i64::try_from(lifetime.idle().as_millis())?)
        .bind(i64::try_from(lifetime.absolute().as_millis())?)
        .bind(payload)
        .bind(i64::try_from(count)?)
        .execute(admin)
        .await?;
    Ok(())
}

async fn live_ids(admin: &mut PgConnection, table: &TableName) -> Outcome<Vec<SessionId>> {
    let sql = format!(
        "select replace(id::text, '-', '') from {table} tablesample bernoulli (5)
        where expires_at > now()"
    );
    let ids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(admin)
        .await?;
    Ok(ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?)
}

/// The program itself, in a process of its own; gives its report.
async fn sweep(url: &str, table: &TableName) -> Outcome<String> {
    let program: PathBuf = env::current_exe()?
        .ancestors()
        .nth(2)
        .ok_or("the example is not where cargo puts it")?
        .join("cloakroom");
    let output = Command::new(program)
        .args(["sweep", "--format", "json", "--table"])
        .arg(table.to_string().replace('"', ""))
        .args(env::args().skip(1))
        .env("CLOAKROOM_STORE", url)
        .output()
        .await?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(String::from_utf8(output.stderr)?.into()),
    }
}

/// What the readers and the toucher have met.
struct Load {
    loads: Histogram<u64>,
    touches: Histogram<u64>,
    missing: u64,
    elapsed: Duration,
}

impl Load {
    fn p99(&self) -> f64 {
        self.loads.value_at_quantile(0.99) as f64 / 1000.0
    }

    fn show(&self, when: &str) {
        let rate = |done: &Histogram<u64>| done.len() as f64 / self.elapsed.as_secs_f64();
        println!(
            "{when}: {:.0} loads/s, p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms; \
             {:.0} touches/s, p99 {:.2} ms; missing={}",
            rate(&self.loads),
            self.loads.value_at_quantile(0.5) as f64 / 1000.0,
            self.p99(),
            self.loads.max() as f64 / 1000.0,
            rate(&self.touches),
            self.touches.value_at_quantile(0.99) as f64 / 1000.0,
            self.missing,
        );
    }
}

/// Loads and touches until the work is done.
async fn load<T>(
    store: &PostgresStore,
    live: &[SessionId],
    work: impl Future<Output = T>,
) -> Outcome<(Load, T)> {
    let live: Arc<[SessionId]> = live.into();
    let stop = Arc::new(AtomicBool::new(false));
    let missing = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..=READERS {
        let (store, live, stop) = (store.clone(), Arc::clone(&live), Arc::clone(&stop));
        let missing = Arc::clone(&missing);
        workers.spawn(async move {
            let mut times = Histogram::<u64>::new(3)?;
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !stop.load(Relaxed) {
                ticks.tick().await;
                let id = live[fastrand::usize(..live.len())];
                let asked = Instant::now();
                let found = match worker < READERS {
                    true => store.load(id).await?.is_some(),
                    false => store.touch(id, 1).await?.is_some(),
                };
                times.record(u64::try_from(asked.elapsed().as_micros())?)?;
                missing.fetch_add(u64::from(!found), Relaxed);
            }
            Outcome::Ok((worker, times))
        });
    }
    let done = work.await;
    stop.store(true, Relaxed);
    let (mut loads, mut touches) = (Histogram::new(3)?, Histogram::new(3)?);
    while let Some(worker) = workers.join_next().await {
        let (worker, times) = worker??;
        match worker < READERS {
            true => loads.add(times)?,
            false => touches.add(times)?,
        }
    }
    let load = Load {
        loads,
        touches,
        missing: missing.load(Relaxed),
        elapsed: started.elapsed(),
    };
    Ok((load, done))
}
