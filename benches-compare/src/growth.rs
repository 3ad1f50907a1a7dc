//! How the cost of a call grows with the number of sessions.

use std::{
    fmt::Write,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use anyhow::Result;
use cloakroom::{
    MemoryStore, SledStore,
    store::{SessionId, SessionStore},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::{
    bytes::copies,
    entrants::{
        ours::{self, Ours},
        postgres,
    },
    measure::{Named, Operation, median},
    report::rounded,
};

const CALLERS: usize = 16;
/// How many of the sessions are used, here and there.
const USED: usize = 50_000;
const BATCH: NonZeroU32 = NonZeroU32::new(1_000).expect("it is not 0");

pub struct Growth {
    pub rounds: usize,
    pub time: Duration,
    text: String,
}

impl Growth {
    pub fn new(rounds: usize, time: Duration) -> Self {
        let text = format!(
            "Calls per second at {CALLERS} callers, and milliseconds of a sweep that finds nothing.\n\n\
             | store | sessions | loads | saves | sweep |\n| --- | ---: | ---: | ---: | ---: |\n"
        );
        Self { rounds, time, text }
    }

    pub fn table(self) -> String {
        self.text
    }

    pub async fn in_process(&mut self) -> Result<()> {
        let folder = TempDir::new()?;
        let memory = MemoryStore::new();
        let sled = SledStore::open(folder.path().join("sessions"))?;
        self.filled("memory", memory).await?;
        self.filled("sled", sled).await
    }

    pub async fn on_redis(&mut self, url: &str) -> Result<()> {
        let store = cloakroom::connect(url).await?;
        self.filled("redis", store).await
    }

    /// A store that is filled by its own calls.
    async fn filled<S: SessionStore + Clone>(&mut self, name: &str, store: S) -> Result<()> {
        let mut ids = Vec::new();
        for sessions in [10_000, 100_000, 1_000_000] {
            eprintln!("{name}: {sessions}");
            ids.extend(ours::fill(&store, sessions - ids.len(), true).await?);
            fastrand::shuffle(&mut ids);
            self.row(name, sessions, &store, &ids[..ids.len().min(USED)])
                .await?;
        }
        Ok(())
    }

    /// A table that is filled in the database.
    pub async fn on_postgres(&mut self, url: &str) -> Result<()> {
        let store = postgres::ours(url).await?;
        let table = store.table().to_string();
        let mut server = PgConnection::connect(url).await?;
        ours::fill(&store, 1, true).await?;
        for sessions in [10_000, 100_000, 1_000_000, 5_000_000] {
            eprintln!("postgres: {sessions}");
            copies(&mut server, &table, sessions).await?;
            let some = format!("select uuid_send(id) from {table} order by random() limit {USED}");
            let ids: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(some))
                .fetch_all(&mut server)
                .await?;
            let ids = ids
                .into_iter()
                .map(|id| Ok(SessionId::from_bytes(id.as_slice().try_into()?)));
            let ids = ids.collect::<Result<Vec<_>>>()?;
            self.row("postgres", sessions, &store, &ids).await?;
        }
        sqlx::query(AssertSqlSafe(format!("drop table {table}")))
            .execute(&mut server)
            .await?;
        Ok(())
    }

    async fn row<S: SessionStore + Clone>(
        &mut self,
        name: &str,
        sessions: usize,
        store: &S,
        ids: &[SessionId],
    ) -> Result<()> {
        let used = Named::new("cloakroom", Ours::over(store.clone(), ids).await?);
        let (mut loads, mut saves, mut sweeps) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            loads.push(used.rate(Operation::Load, CALLERS, self.time).await?);
            saves.push(used.rate(Operation::Save, CALLERS, self.time).await?);
            let began = Instant::now();
            store.sweep(BATCH).await?;
            sweeps.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let _ = writeln!(
            self.text,
            "| {name} | {} | {} | {} | {:.1} |",
            rounded(sessions as f64),
            rounded(median(loads)),
            rounded(median(saves)),
            median(sweeps)
        );
        Ok(())
    }
}
