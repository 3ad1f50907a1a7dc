//! URLs: those that the driver knows, and those with several hosts.
//!
//! No error repeats any of the text, which may have a password.

use redis::{
    Client, ConnectionInfo, IntoConnectionInfo,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};

use crate::{
    connections::{Source, at_once},
    error::Failure,
};

pub(crate) fn source(url: &str) -> Result<Source, Failure> {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let (found, form) = match scheme {
        "redis" | "rediss" => (one(url), "redis://USER:PASSWORD@HOST:PORT/DATABASE"),
        "unix" | "redis+unix" => (one(url), "unix:///PATH?db=DATABASE&user=USER&pass=PASSWORD"),
        "redis+sentinel" => (
            sentinel(rest),
            "redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DATABASE",
        ),
        "redis+cluster" => (
            cluster(rest),
            "redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT",
        ),
        _ => (
            None,
            "it begins with redis:, rediss:, unix:, redis+sentinel: or redis+cluster:",
        ),
    };
    found.ok_or(Failure::Url(form))
}

fn one(url: &str) -> Option<Source> {
    Client::open(read(url)?).ok().map(Source::server)
}

fn sentinel(rest: &str) -> Option<Source> {
    let (user, hosts, path) = parts(rest);
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    if master.is_empty() {
        return None;
    }
    // The user and the database are the master's: any host will do to have them read.
    let master_settings = info(user, "localhost", database)?;
    let sentinels = hosts
        .split(',')
        .map(|host| {
            let has_port = host.rsplit(']').next()?.contains(':');
            let host = format!("{host}{}", if has_port { "" } else { ":26379" });
            info("", &host, "")
        })
        .collect::<Option<Vec<_>>>()?;
    let node = SentinelNodeConnectionInfo::default()
        .set_tcp_settings(at_once())
        .set_redis_connection_info(master_settings.redis_settings().clone());
    SentinelClient::build(sentinels, master, Some(node), SentinelServerType::Master)
        .ok()
        .map(Source::sentinel)
}

fn cluster(rest: &str) -> Option<Source> {
    let (user, hosts, path) = parts(rest);
    if !path.is_empty() {
        return None;
    }
    let nodes: Option<Vec<_>> = hosts.split(',').map(|host| info(user, host, "")).collect();
    Source::cluster(nodes?).ok()
}

/// What is before the last `@` with it, the hosts, and what is after the first `/`.
fn parts(rest: &str) -> (&str, &str, &str) {
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, _)) => rest.split_at(user.len() + 1),
        None => ("", rest),
    };
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    (user, hosts, path)
}

fn info(user: &str, host: &str, database: &str) -> Option<ConnectionInfo> {
    if host.is_empty() {
        return None;
    }
    read(&format!("redis://{user}{host}/{database}"))
}

fn read(url: &str) -> Option<ConnectionInfo> {
    let info = url.into_connection_info().ok()?;
    Some(info.set_tcp_settings(at_once()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command does not wait until the server has acknowledged the one before.
    #[test]
    fn commands_are_sent_at_once() {
        for url in [
            "redis://localhost",
            "rediss://localhost",
            "redis+cluster://one,two",
        ] {
            let settings = match source(url).unwrap() {
                Source::Server(client) => format!("{client:?}"),
                Source::Cluster { client, .. } => format!("{client:?}"),
                Source::Sentinel(_) => unreachable!("its client shows nothing"),
            };
            assert!(!settings.contains("nodelay: false"), "{url}: {settings}");
        }
    }

    #[test]
    fn urls_are_read() {
        for right in [
            "redis://localhost",
            "redis://ann:hunter22@localhost:6380/3",
            "rediss://localhost",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock?db=3&user=ann&pass=hunter22",
            "redis+sentinel://localhost/main",
            "redis+sentinel://ann:hunter22@one,two:26380,[::1]/main/3",
            "redis+cluster://one,two:6380,[::1]:6379",
            "redis+cluster://ann:hunter22@one",
        ] {
            assert!(source(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_shown() {
        for wrong in [
            "",
            "hunter22",
            "http://ann:hunter22@localhost",
            "redis://ann:hunter22@localhost:port",
            "redis://ann:hunter22@localhost/hunter22",
            "redis+sentinel://ann:hunter22@localhost",
            "redis+sentinel://ann:hunter22@localhost/main/hunter22",
            "redis+sentinel:///main",
            "redis+cluster://",
            "redis+cluster://ann:hunter22@one,,two",
            "redis+cluster://ann:hunter22@one/1",
        ] {
            let failure = source(wrong).map(drop).unwrap_err();
            let words = format!("{failure} {failure:?}");
            assert!(!words.contains("hunter22"), "{wrong}: {words}");
        }
    }
}
