//! What cannot work says so, in the right class, and keeps the password to itself.

use std::{
    error::Error as _,
    iter,
    time::{Duration, Instant},
};

use cloakroom_store_api::{Age, Error, Record, Saved, SessionStore};
use cloakroom_store_redis::{RedisStore, RedisStoreBuilder};
use cloakroom_test_support::Stalls;
use tokio::net::TcpListener;

use crate::{
    servers::OwnServer,
    support::{cluster, command, connection, owned, record, server, stored, unique_prefix, url},
};

/// The error and its causes, as a log would have them.
fn words(error: &Error) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    format!("{error}{causes} {error:?}")
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let own = OwnServer::start("--requirepass right").await;
    for query in ["?pass=hunter22", "?user=hunter22&pass=hunter22", ""] {
        let builder = RedisStore::builder(&own.url(query));
        let shown = format!("{builder:?}");
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, Error::Backend(_)), "{error:?}");
        assert!(
            words(&error).contains("refuses the user or the password"),
            "{}",
            words(&error)
        );
        assert!(
            !(words(&error) + &shown).contains("hunter22"),
            "{}",
            words(&error)
        );
    }
    let right = RedisStore::connect(&own.url("?pass=right")).await.unwrap();
    stored(&right, record()).await;
}

#[tokio::test]
async fn a_user_without_rights_is_told_so() {
    let own = OwnServer::start("").await;
    let _: String = own.run("ACL SETUSER ann on >secret ~other:* +@all").await;
    let store = RedisStore::connect(&own.url("?user=ann&pass=secret"))
        .await
        .unwrap();
    for failed in [
        store.load(record().id).await.map(drop),
        store.save(&record()).await.map(drop),
        store.touch(record().id, 1).await.map(drop),
    ] {
        let Err(error @ Error::Backend(_)) = failed else {
            panic!("expected Backend, got {failed:?}");
        };
        assert!(words(&error).contains("ACL SETUSER"), "{}", words(&error));
    }
}

/// The rights that the README names: for keys, for commands, for another database, for a cluster.
fn rights() -> [&'static str; 4] {
    let readme = include_str!("../../README.md");
    let (_, rights) = readme.split_once("an ACL user needs `").unwrap();
    let rights: Vec<_> = rights.split('`').step_by(2).take(4).collect();
    rights.try_into().unwrap()
}

#[tokio::test]
async fn the_rights_in_the_readme_are_enough() {
    let own = OwnServer::start("").await;
    let [keys, commands, select, _] = rights();
    for (database, more) in [(0, ""), (1, select)] {
        let rights = format!("{keys} {commands} {more}");
        let user = format!("ACL SETUSER ann on >secret {}", rights.trim_end());
        let _: String = own.run(&user).await;
        let url = own.url(&format!("?db={database}&user=ann&pass=secret"));
        use_all(&RedisStore::connect(&url).await.unwrap()).await;
    }
}

#[tokio::test]
async fn the_rights_in_the_readme_are_enough_in_a_cluster() {
    let (url, user) = (cluster(), format!("user-{:x}", fastrand::u64(..)));
    let hosts = url.trim_start_matches("redis+cluster://");
    let [keys, commands, _, more] = rights();
    let set = format!("ACL SETUSER {user} on >secret {keys} {commands} {more}");
    for host in hosts.split(',') {
        let mut connection = connection(&format!("redis://{host}")).await;
        let set = command(&set).query_async::<String>(&mut connection).await;
        set.unwrap();
    }
    let url = format!("redis+cluster://{user}:secret@{hosts}");
    use_all(&RedisStore::connect(&url).await.unwrap()).await;
}

/// Everything that needs rights.
async fn use_all(store: &RedisStore) {
    let owner = format!("user-{:x}", fastrand::u64(..));
    let session = stored(store, owned(&owner)).await;
    let session = stored(store, session).await;
    store.touch(session.id, 2).await.unwrap().unwrap();
    assert_eq!(store.list(&owner).await.unwrap().len(), 1);
    let moved = Record {
        id: record().id,
        ..session.clone()
    };
    let rotated = store.rotate(session.id, &moved, Age::Keep).await.unwrap();
    assert!(matches!(rotated, Saved::Stored(_)), "{rotated:?}");
    store.load(moved.id).await.unwrap().unwrap();
    store.stats().await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.expire_owner(&owner, None).await.unwrap(), 1);
    store.expire(moved.id).await.unwrap();
}

#[tokio::test]
async fn a_read_only_server_says_so_and_still_serves() {
    let writer = RedisStore::builder(&server()).prefix(unique_prefix());
    let writer = writer.connect().await.unwrap();
    let master = server();
    let (host, port) = master
        .trim_start_matches("redis://")
        .split_once(':')
        .unwrap();
    let own = OwnServer::start(&format!("--replicaof {host} {port}")).await;
    let session = stored(&writer, record()).await;
    let reader = RedisStore::builder(&own.url("")).prefix(writer.prefix().clone());
    let reader = reader.connect().await.unwrap();
    let mut tries = 0;
    // The first synchronisation takes a moment.
    while !matches!(reader.load(session.id).await, Ok(Some(_))) {
        tries += 1;
        assert!(tries < 2_000, "no replica after 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for failed in [
        reader.save(&record()).await.map(drop),
        reader.save(&session).await.map(drop),
        reader.expire(session.id).await.map(drop),
    ] {
        let Err(error @ Error::Unavailable(_)) = failed else {
            panic!("expected Unavailable, got {failed:?}");
        };
        assert!(words(&error).contains("replica"), "{}", words(&error));
    }
    reader.ping().await.unwrap();
}

#[tokio::test]
async fn a_server_without_memory_says_so_and_still_ends_sessions() {
    let own = OwnServer::start("").await;
    let store = own.fresh().connect().await.unwrap();
    let session = stored(&store, record()).await;
    let _: String = own.run("CONFIG SET maxmemory 1").await;
    for failed in [
        store.save(&record()).await,
        store.save(&owned("ann")).await,
        store.save(&session).await,
    ] {
        let Err(error @ Error::Unavailable(_)) = failed else {
            panic!("expected Unavailable, got {failed:?}");
        };
        assert!(words(&error).contains("maxmemory"), "{}", words(&error));
    }
    assert!(store.load(session.id).await.unwrap().is_some());
    assert!(store.expire(session.id).await.unwrap());
}

#[tokio::test]
async fn a_clusters_node_is_no_single_server() {
    let nodes = url("CLOAKROOM_TEST_REDIS_CLUSTER_URL");
    let node = nodes.replace("redis+cluster", "redis");
    let (node, _) = node.split_once(',').unwrap();
    let store = RedisStore::connect(node).await.unwrap();
    let mut told = 0;
    for _ in 0..20 {
        let loaded = store.load(record().id).await.map(drop);
        let saved = store.save(&owned("ann")).await.map(drop);
        for error in [loaded, saved].into_iter().filter_map(Result::err) {
            assert!(matches!(error, Error::Backend(_)), "{error:?}");
            assert!(
                words(&error).contains("redis+cluster:"),
                "{}",
                words(&error)
            );
            told += 1;
        }
    }
    assert!(told > 0);
}

fn impatient(url: &str) -> RedisStoreBuilder {
    RedisStore::builder(url).deadline(Duration::from_millis(300))
}

#[tokio::test]
async fn without_a_server_a_store_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    for address in [silent.to_string(), "127.0.0.1:1".into()] {
        for url in [
            format!("redis://ann:hunter22@{address}"),
            format!("rediss://ann:hunter22@{address}"),
            format!("redis+sentinel://ann:hunter22@{address}/main"),
            format!("redis+cluster://ann:hunter22@{address}"),
        ] {
            let (began, stalls) = (Instant::now(), Stalls::watched());
            let error = impatient(&url).connect().await.unwrap_err();
            println!("refused_after_ms={}", began.elapsed().as_millis());
            assert!(matches!(error, Error::Unavailable(_)), "{url}: {error:?}");
            let most = Duration::from_secs(2) + stalls.total();
            assert!(began.elapsed() < most, "{url}");
            assert!(!words(&error).contains("hunter22"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn tls_needs_a_certificate_that_the_system_trusts() {
    let url = url("CLOAKROOM_TEST_REDIS_TLS_URL");
    let error = RedisStore::connect(&url).await.unwrap_err();
    println!("{}", words(&error));
    assert!(
        words(&error).to_lowercase().contains("certificate"),
        "{}",
        words(&error)
    );
}

/// A client with certificates of its own.
#[tokio::test]
async fn a_clients_own_certificates_are_used() {
    let authority = url("CLOAKROOM_TEST_REDIS_TLS_CA");
    let client = redis::Client::build_with_tls(
        url("CLOAKROOM_TEST_REDIS_TLS_URL"),
        redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(std::fs::read(authority).unwrap()),
        },
    );
    let store = RedisStoreBuilder::from(client.unwrap()).prefix(unique_prefix());
    let store = store.connect().await.unwrap();
    let session = stored(&store, owned("ann")).await;
    stored(&store, session).await;
    assert_eq!(store.list("ann").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_socket_is_as_good_as_a_port() {
    let store = RedisStore::builder(&url("CLOAKROOM_TEST_REDIS_UNIX_URL")).prefix(unique_prefix());
    let store = store.connect().await.unwrap();
    let session = stored(&store, owned("ann")).await;
    assert!(store.expire(session.id).await.unwrap());
}
