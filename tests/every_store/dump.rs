//! All that somebody gets who copies the database.

use std::{fs, path::Path};

use futures_util::TryStreamExt;
use redis::Commands;
use sqlx::{Connection, PgConnection};

/// Where sessions are kept.
#[derive(Debug)]
pub(crate) enum Place {
    Process,
    Folder(tempfile::TempDir),
    Postgres(String),
    Redis(String),
}

impl Place {
    pub(crate) async fn dump(&self) -> Vec<u8> {
        match self {
            Self::Process => Vec::new(),
            Self::Folder(folder) => files(folder.path()),
            Self::Postgres(url) => tables(url).await,
            Self::Redis(url) => keys(url),
        }
    }
}

fn files(folder: &Path) -> Vec<u8> {
    let mut dump = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        dump.extend(match path.is_dir() {
            true => files(&path),
            false => fs::read(&path).unwrap(),
        });
    }
    dump
}

/// All rows of our tables, as PostgreSQL writes them as text and as bytes.
async fn tables(url: &str) -> Vec<u8> {
    let mut server = PgConnection::connect(url).await.unwrap();
    let mut dump = Vec::new();
    for table in ["cloakroom_sessions", "cloakroom_sessions_version"] {
        for format in ["text", "binary"] {
            let copy = format!("copy (select * from {table}) to stdout (format {format})");
            let mut rows = server.copy_out_raw(&copy).await.unwrap();
            while let Some(bytes) = rows.try_next().await.unwrap() {
                dump.extend(bytes);
            }
        }
    }
    dump
}

/// All keys and values of the server.
fn keys(url: &str) -> Vec<u8> {
    let client = redis::Client::open(url).unwrap();
    let mut server = client.get_connection().unwrap();
    let keys: Vec<Vec<u8>> = server.keys("*").unwrap();
    let mut dump = Vec::new();
    for key in keys {
        dump.extend(&key);
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut server).unwrap();
        // It may have expired since.
        let values: Vec<Vec<u8>> = match &*kind {
            "string" => server
                .get::<_, Option<_>>(&key)
                .unwrap()
                .into_iter()
                .collect(),
            "zset" => server.zrange(&key, 0, -1).unwrap(),
            _ => Vec::new(),
        };
        dump.extend(values.concat());
    }
    dump
}
