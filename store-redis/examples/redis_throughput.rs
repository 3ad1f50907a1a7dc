//! Measures the store: `scripts/with-servers --only redis cargo run --release
//! -p cloakroom-store-redis --example redis_throughput`.
//!
//! Loads, saves and creates at 1, 16 and 64 callers, beside plain `GET` and `SET` over as many shared
//! connections. Both are measured in turn; what is shown are medians of calls a second, and of what
//! a call takes the server's thread, by `INFO cpu`.

use std::{
    future::Future,
    hint::black_box,
    time::{Duration, Instant},
};

use cloakroom_store_api::SessionId;
use cloakroom_store_redis::RedisStore;
use cloakroom_test_support::throughput::{
    Outcome, all, creates, each, ids, loads, median, saves, session, sessions,
};
use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};

const SESSIONS: usize = 10_000;
const CONNECTIONS: usize = 2;
const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = std::env::var("CLOAKROOM_TEST_REDIS_URL")
        .map_err(|_| "CLOAKROOM_TEST_REDIS_URL is not set; scripts/with-servers sets it")?;
    let store = RedisStore::builder(&url)
        .prefix(format!("throughput-{:016x}:", fastrand::u64(..)).parse()?)
        .connections(CONNECTIONS)
        .connect()
        .await?;
    let plain = Plain::new(&url, &store).await?;
    let records = sessions(&store, SESSIONS).await?;
    let mut server = Server::new(&url).await?;

    for callers in [1, 16, 64] {
        let records = &records[..];
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(
                server
                    .rate(callers, |n| loads(store.clone(), TIME, ids(records, n)))
                    .await?,
            );
            theirs.push(
                server
                    .rate(callers, |n| plain.of(n).gets(ids(records, n)))
                    .await?,
            );
        }
        show("loads", "GET", callers, ours, theirs);
    }
    for callers in [1, 16, 64] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(server.rate(callers, |_| saves(store.clone(), TIME)).await?);
            theirs.push(server.rate(callers, |n| plain.of(n).sets()).await?);
        }
        show("saves", "SET", callers, ours, theirs);
    }
    for callers in [1, 16, 64] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(
                server
                    .rate(callers, |_| creates(store.clone(), TIME))
                    .await?,
            );
            theirs.push(server.rate(callers, |n| plain.of(n).sets()).await?);
        }
        show("creates", "SET", callers, ours, theirs);
    }
    Ok(store.clear().await?)
}

/// The driver alone: nothing is compared, decoded or judged.
struct Plain {
    connections: Vec<MultiplexedConnection>,
    prefix: String,
}

struct Caller {
    connection: MultiplexedConnection,
    prefix: String,
}

impl Plain {
    async fn new(url: &str, store: &RedisStore) -> Outcome<Self> {
        let client = Client::open(url)?;
        let settings = AsyncConnectionConfig::new().set_response_timeout(Some(TIME * 10));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = client.get_multiplexed_async_connection_with_config(&settings);
            connections.push(connection.await?);
        }
        Ok(Self {
            connections,
            prefix: store.prefix().to_string(),
        })
    }

    fn of(&self, caller: usize) -> Caller {
        Caller {
            connection: self.connections[caller % CONNECTIONS].clone(),
            prefix: self.prefix.clone(),
        }
    }
}

impl Caller {
    async fn gets(self, ids: Vec<SessionId>) -> Outcome<u32> {
        let Self { connection, prefix } = self;
        each(TIME, ids, |id| {
            let mut connection = connection.clone();
            let key = format!("{prefix}{id}");
            async move {
                let value: Vec<u8> = redis::cmd("GET")
                    .arg(key)
                    .query_async(&mut connection)
                    .await?;
                black_box(value);
                Ok(())
            }
        })
        .await
    }

    async fn sets(self) -> Outcome<u32> {
        let Self { connection, prefix } = self;
        let record = session()?;
        let payload = record.encode()?;
        each(TIME, vec![record.id], |id| {
            let mut connection = connection.clone();
            let mut set = redis::cmd("SET");
            set.arg(format!("{prefix}{id}"))
                .arg(&payload)
                .arg("PX")
                .arg(60_000);
            async move { Ok(set.query_async(&mut connection).await?) }
        })
        .await
    }
}

/// The server, whose time is looked at.
struct Server(MultiplexedConnection);

/// What all callers together do in a second, and microseconds of the server's thread for each call.
struct Rate {
    calls: f64,
    micros: f64,
}

impl Server {
    async fn new(url: &str) -> Outcome<Self> {
        let client = Client::open(url)?;
        Ok(Self(client.get_multiplexed_async_connection().await?))
    }

    async fn rate<F: Future<Output = Outcome<u32>> + Send + 'static>(
        &mut self,
        callers: usize,
        call: impl Fn(usize) -> F,
    ) -> Outcome<Rate> {
        let (started, before) = (Instant::now(), self.seconds().await?);
        let done = all(callers, call).await?;
        let (calls, seconds) = (f64::from(done), started.elapsed().as_secs_f64());
        Ok(Rate {
            calls: calls / seconds,
            micros: (self.seconds().await? - before) * 1e6 / calls,
        })
    }

    /// How long its thread has worked.
    async fn seconds(&mut self) -> Outcome<f64> {
        let mut info = redis::cmd("INFO");
        let info: String = info.arg("cpu").query_async(&mut self.0).await?;
        let mut seconds = 0.0;
        for line in info.lines().filter(|line| line.contains("_main_thread:")) {
            let (_, part) = line.split_once(':').ok_or("a number")?;
            seconds += part.trim().parse::<f64>()?;
        }
        Ok(seconds)
    }
}

fn show(what: &str, plain: &str, callers: usize, ours: Vec<Rate>, theirs: Vec<Rate>) {
    let [(ours, micros), (theirs, plain_micros)] = [ours, theirs].map(|rates| {
        let (calls, micros) = rates.iter().map(|rate| (rate.calls, rate.micros)).unzip();
        (median(calls), median(micros))
    });
    println!(
        "{what} at {callers:>2} callers: {ours:>8.0}/s, plain {plain}: {theirs:>8.0}/s, ratio {:.2}; \
         server {micros:.1} µs, plain {plain_micros:.1} µs",
        ours / theirs
    );
}
