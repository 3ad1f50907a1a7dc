//! Servers of a test's own, for what a shared one cannot stand.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use cloakroom_store_redis::{RedisStore, RedisStoreBuilder};
use redis::FromRedisValue;
use tempfile::TempDir;

use crate::support::{command, connection, unique_prefix};

/// A Redis that listens on a socket in a folder of its own.
pub(crate) struct OwnServer {
    folder: TempDir,
    settings: Vec<String>,
    process: Child,
}

impl OwnServer {
    pub(crate) async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<_> = settings.split_whitespace().map(Into::into).collect();
        let process = process(&folder, &settings);
        let server = Self {
            folder,
            settings,
            process,
        };
        server.is_up().await;
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    async fn is_up(&self) {
        for _ in 0..500 {
            // It may still be loading its data.
            let client = redis::Client::open(self.url("")).unwrap();
            if let Ok(mut connection) = client.get_multiplexed_async_connection().await
                && !matches!(
                    command("GET x").query_async::<redis::Value>(&mut connection).await,
                    Err(error) if error.code() == Some("LOADING")
                )
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn url(&self, query: &str) -> String {
        format!("unix://{}{query}", self.socket().display())
    }

    pub(crate) fn fresh(&self) -> RedisStoreBuilder {
        RedisStore::builder(&self.url("")).prefix(unique_prefix())
    }

    /// Sends an administrator's command.
    pub(crate) async fn run<T: FromRedisValue>(&self, words: &str) -> T {
        let mut connection = connection(&self.url("")).await;
        command(words).query_async(&mut connection).await.unwrap()
    }

    /// Ends it as a crash would, and starts it again.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        // What a killed server leaves refuses connections.
        self.process = process(&self.folder, &self.settings);
        self.is_up().await;
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Stops or continues it: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn process(folder: &TempDir, settings: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""])
        .arg("--dir")
        .arg(folder.path())
        .args(settings)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed; scripts/with-servers does so")
}
