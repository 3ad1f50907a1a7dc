//! sled itself, beside our store on it. No peer has one.

use std::{sync::mpsc, thread};

use anyhow::{Context, Result};
use cloakroom::SledStore;
use sled::{Batch, Tree};
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

/// Blind inserts, as many as wait in one batch, and one flush for them all.
struct Raw {
    tree: Tree,
    writer: mpsc::Sender<Write>,
    ids: Vec<[u8; 16]>,
    bytes: Vec<u8>,
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
        };
        for id in &raw.ids {
            raw.tree.insert(id, raw.bytes.as_slice())?;
        }
        thread::spawn(move || write(&database, &tree, &writes));
        Ok(raw)
    }

    async fn insert(&self, id: [u8; 16]) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.writer.send((id, self.bytes.clone(), done))?;
        Ok(answer.await?)
    }
}

fn write(database: &sled::Db, tree: &Tree, writes: &mpsc::Receiver<Write>) {
    while let Ok(first) = writes.recv() {
        let (mut batch, mut answers) = (Batch::default(), Vec::new());
        for (id, bytes, done) in std::iter::once(first).chain(writes.try_iter()) {
            batch.insert(&id, bytes);
            answers.push(done);
        }
        tree.apply_batch(batch).expect("a disk");
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
