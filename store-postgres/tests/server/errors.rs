//! What cannot work says so, in the right class, and keeps the password to itself.

use std::{
    error::Error as _,
    iter,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, SessionStore};
use cloakroom_store_postgres::{PostgresStore, PostgresStoreBuilder};
use sqlx::{Executor, postgres::PgPoolOptions, raw_sql};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    address, by_way_of, fresh, in_database, migrated, record, run, server, stored,
};

/// The error and its causes, as a log would have them.
pub(crate) fn words(error: &Error) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    format!("{error}{causes} {error:?}")
}

#[tokio::test]
async fn a_missing_table_names_the_call_that_makes_it() {
    let store = fresh().connect().await.unwrap();
    let id = record().id;
    for error in [
        store.load(id).await.unwrap_err(),
        store.save(&record()).await.unwrap_err(),
        store.touch(id, 1).await.unwrap_err(),
        store.expire(id).await.unwrap_err(),
        store.list("ann").await.unwrap_err(),
        store.ping().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Backend(_)), "{error:?}");
        let words = words(&error);
        assert!(words.contains("PostgresStore::migrate"), "{words}");
        assert!(words.contains(&store.table().to_string()), "{words}");
    }
}

/// As a connection is that a pooler before has lent to others.
#[tokio::test]
async fn a_pooler_that_mixes_up_prepared_statements_is_named() {
    let pool = PgPoolOptions::new()
        .after_connect(|connection, _| {
            Box::pin(async move {
                let theirs = "prepare sqlx_s_1 as select 1";
                connection.execute(raw_sql(theirs)).await.map(drop)
            })
        })
        .connect(&server())
        .await
        .unwrap();
    let table = migrated(fresh()).await.table().clone();
    let builder = PostgresStoreBuilder::from(pool).table(table);
    let store = builder.connect().await.unwrap();
    let error = store.load(record().id).await.unwrap_err();
    assert!(matches!(error, Error::Backend(_)), "{error:?}");
    let words = words(&error);
    assert!(words.contains("PgBouncer"), "{words}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let (before, host) = server().rsplit_once('@').map_or_else(
        || panic!("the URL has no user"),
        |(before, host)| (before.to_owned(), host.to_owned()),
    );
    let user = before.trim_start_matches("postgres://");
    let user = user.split(':').next().unwrap();
    let url = format!("postgres://{user}:hunter22@{host}");
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, Error::Backend(_)), "{error:?}");
    let builder = PostgresStore::builder(&url);
    for words in [words(&error), format!("{builder:?}")] {
        assert!(!words.contains("hunter22"), "{words}");
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_not_shown() {
    for url in [
        "",
        "postgres://ann:hunter22@host:port/x",
        "http://ann:hunter22@x y/",
    ] {
        let error = PostgresStore::connect(url).await.unwrap_err();
        assert!(!words(&error).contains("hunter22"), "{error:?}");
    }
}

/// As a balancer does whose servers are all away.
#[tokio::test]
async fn a_connection_that_ends_at_once_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://ann@{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.read(&mut [0; 64]).await;
        }
    });
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn without_a_server_a_store_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!(
        "postgres://ann:hunter22@{}/x",
        listener.local_addr().unwrap()
    );
    let nobody = "postgres://ann:hunter22@127.0.0.1:1/x".to_owned();
    for url in [silent, nobody] {
        let began = Instant::now();
        let builder = PostgresStore::builder(&url).deadline(Duration::from_millis(80));
        let error = builder.connect().await.unwrap_err();
        println!("refused_after_ms={}", began.elapsed().as_millis());
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(!words(&error).contains("hunter22"), "{error:?}");
    }
}

/// A server that lets nobody in is not asked once more for each call that waits.
#[tokio::test]
async fn a_refused_connection_is_told_to_all_that_wait_for_it() {
    let role = format!("test_{:x}", fastrand::u64(..));
    let owner = migrated(fresh()).await;
    let table = owner.table();
    run(&format!(
        "create role {role} login password '{role}'; grant select on {table} to {role}"
    ))
    .await;
    let (way, connects) = counted(address(&server()).await).await;
    let url = by_way_of(way).replace("cloakroom:cloakroom@", &format!("{role}:{role}@"));
    let store = PostgresStore::builder(&url).table(table.clone());
    let store = store.connect().await.unwrap();
    run(&format!(
        "alter role {role} connection limit 0;
        select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
    ))
    .await;
    connects.store(0, Relaxed);
    let mut loads = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        loads.spawn(async move { store.load(record().id).await });
    }
    for answer in loads.join_all().await {
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    }
    let connects = connects.load(Relaxed);
    println!("loads=64 connects={connects}");
    // One call goes alone, and two statements share what waits.
    assert!((1..=4).contains(&connects), "{connects}");
    run(&format!("drop owned by {role}; drop role {role}")).await;
}

/// Another address of a server, and how many connections were made there.
async fn counted(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connects = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connects);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counter.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (address, connects)
}

/// What PgBouncer refuses unless it is told to ignore it.
#[tokio::test]
async fn a_url_asks_for_no_setting_that_a_pooler_does_not_know() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://ann@{}/x", listener.local_addr().unwrap());
    let connecting = PostgresStore::builder(&url).deadline(Duration::from_millis(500));
    let greeting = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        // Whether there is TLS, and then what the session is to be.
        assert_eq!(client.read(&mut request).await.unwrap(), 8);
        client.write_all(b"N").await.unwrap();
        let length = client.read(&mut request).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    };
    let (_, greeting) = tokio::join!(connecting.connect(), greeting);
    println!("{greeting:?}");
    assert!(greeting.contains("client_encoding"), "{greeting:?}");
    assert!(!greeting.contains("extra_float_digits"), "{greeting:?}");
}

#[tokio::test]
async fn a_missing_database_is_named() {
    let url = in_database("no_such_database");
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, Error::Backend(_)), "{error:?}");
    assert!(words(&error).contains("no_such_database"), "{error:?}");
}

#[tokio::test]
async fn a_read_only_server_shows_sessions_and_refuses_writes() {
    let writable = migrated(fresh()).await;
    let known = stored(&writable, record()).await;
    let url = format!("{}?options[default_transaction_read_only]=on", server());
    let builder = PostgresStore::builder(&url).table(writable.table().clone());
    let store = builder.connect().await.unwrap();
    assert!(store.load(known.id).await.unwrap().is_some());
    for error in [
        store.save(&known).await.unwrap_err(),
        store.touch(known.id, 1).await.unwrap_err(),
        store.expire(known.id).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(words(&error).contains("read-only"), "{error:?}");
    }
}
