use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use redis::FromRedisValue;

use crate::support::{command, connection};

/// Servers that may be killed. They end when this is dropped.
pub(crate) struct Own {
    pub(crate) url: String,
    script: Child,
}

impl Own {
    pub(crate) fn start(kind: &str, variable: &str) -> Self {
        let mut script = Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../scripts/with-servers"
        ))
        .args(["--only", kind, "sh", "-c"])
        .arg(format!("echo ${variable}; exec cat"))
        .env_remove(variable)
        .env("CLOAKROOM_FAILOVER_AFTER", "500")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut url = String::new();
        let output = script.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        Self { url, script }
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        let (_, rest) = self.url.split_once("://").unwrap();
        rest.split('/').next().unwrap().split(',')
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // `cat` ends with its input, and the script removes what it has started.
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

pub(crate) async fn run<T: FromRedisValue>(host: &str, words: &str) -> T {
    let mut connection = connection(&format!("redis://{host}")).await;
    command(words).query_async(&mut connection).await.unwrap()
}

/// Ends a server as a crash would.
pub(crate) async fn kill(host: &str) {
    signal("KILL", &process(host).await);
}

/// The process of a server.
pub(crate) async fn process(host: &str) -> String {
    let info: String = run(host, "INFO server").await;
    let process = |line: &str| line.strip_prefix("process_id:").map(str::to_owned);
    info.lines().find_map(process).unwrap()
}

/// Stops, continues or ends a process: `STOP`, `CONT`, `KILL`.
pub(crate) fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args(["-s", name, process]).status();
    assert!(sent.unwrap().success());
}
