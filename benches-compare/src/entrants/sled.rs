//! sled itself, beside our store on it. No peer has one.

use std::{
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use anyhow::{Context, Result};
use cloakroom::SledStore;
use sled::Tree;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::{
    entrants::{Group, bytes, ours::Ours},
    measure::{Entrant, Named, SESSIONS},
};

pub async fn group(folder: &TempDir) -> Result<Group> {
    let store = SledStore::open(folder.path().join("ours"))?;
    Ok(Group {
        name: "sled",
        entrants: vec![
            Named::new("cloakroom", Ours::new(store).await?),
            Named::new("raw sled", Raw::new(folder)?),
        ],
    })
}

/// Blind inserts, and one flush for all that wait. A batch of sled's own takes longer than the
/// same inserts one by one.
struct Raw {
    tree: Tree,
    writer: mpsc::Sender<Write>,
    ids: Vec<[u8; 16]>,
    bytes: Vec<u8>,
    saves: AtomicU64,
}

type Write = ([u8; 16], Vec<u8>, oneshot::Sender<()>);

impl Raw {
    fn new(folder: &TempDir) -> Result<Self> {
        let database = sled::Config::new()
            .path(folder.path().join("raw"))
            .flush_every_ms(None)
            .open()?;
        let tree = database.open_tree("sessions")?;
        let (writer, writes) = mpsc::channel();
        let raw = Self {
            tree: tree.clone(),
            writer,
            ids: (0..SESSIONS)
                .map(|_| fastrand::u128(..).to_be_bytes())
                .collect(),
            bytes: bytes(),
            saves: AtomicU64::new(0),
        };
        for id in &raw.ids {
            raw.tree.insert(id, raw.bytes.as_slice())?;
        }
        thread::spawn(move || write(&database, &tree, &writes));
        Ok(raw)
    }

    async fn insert(&self, id: [u8; 16]) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let mut bytes = self.bytes.clone();
        // sled writes nothing if a value is what it was.
        bytes[..8].copy_from_slice(&self.saves.fetch_add(1, Relaxed).to_be_bytes());
        self.writer.send((id, bytes, done))?;
        Ok(answer.await?)
    }
}

fn write(database: &sled::Db, tree: &Tree, writes: &mpsc::Receiver<Write>) {
    while let Ok(first) = writes.recv() {
        let mut answers = Vec::new();
        for (id, bytes, done) in std::iter::once(first).chain(writes.try_iter()) {
            tree.insert(id, bytes).expect("a disk");
            answers.push(done);
        }
        database.flush().expect("a disk");
        for done in answers {
            let _ = done.send(());
        }
    }
}

impl Entrant for Raw {
    async fn load(&self, session: usize) -> Result<()> {
        self.tree
            .get(self.ids[session])?
            .context("it is there")
            .map(drop)
    }

    async fn save(&self, session: usize) -> Result<()> {
        self.insert(self.ids[session]).await
    }

    async fn create(&self) -> Result<()> {
        self.insert(fastrand::u128(..).to_be_bytes()).await
    }
}
