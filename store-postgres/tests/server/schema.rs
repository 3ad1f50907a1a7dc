//! Tables, their names, and how they are made.

use std::{
    env,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, SessionStore, Stats};
use cloakroom_store_postgres::{PostgresStore, TableName};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::task::JoinSet;

use crate::{
    errors::words,
    support::{
        connection, connections, fresh, in_database, migrated, named, number, record, run, server,
        stored, unique_table,
    },
};

#[tokio::test]
async fn dropped_tables_can_be_made_again() {
    let store = fresh().connect().await.unwrap();
    for _ in 0..2 {
        assert!(!store.is_migrated().await.unwrap());
        store.drop_tables().await.unwrap();
        store.migrate().await.unwrap();
        assert!(store.is_migrated().await.unwrap());
        assert_eq!(store.stats().await.unwrap(), Stats::default());
        stored(&store, record()).await;
        store.drop_tables().await.unwrap();
    }
}

#[tokio::test]
async fn names_need_quotes_and_get_them() {
    let schema = format!("Order \"{:x}\"", fastrand::u64(..));
    let quoted = schema.replace('"', "\"\"");
    run(&format!("create schema \"{quoted}\"")).await;
    let long = "ü".repeat(31);
    for name in [
        "select",
        "'; drop table x; --",
        "\"",
        "Sessions",
        "$$",
        &long,
    ] {
        let table: TableName = format!("{schema}.{name}").parse().unwrap();
        let store = migrated(fresh().table(table)).await;
        let record = stored(&store, record()).await;
        assert!(store.load(record.id).await.unwrap().is_some(), "{name}");
    }
    run(&format!("drop schema \"{quoted}\" cascade")).await;
}

/// Names the table to a process that is to migrate.
const MIGRATE: &str = "CLOAKROOM_TEST_MIGRATE";

#[tokio::test]
async fn twenty_processes_migrate_at_once() {
    if let Ok(table) = env::var(MIGRATE) {
        let store = fresh().table(table.parse().unwrap());
        return store.connect().await.unwrap().migrate().await.unwrap();
    }
    let table = format!("test_{:032x}", fastrand::u128(..));
    let mut successes = Vec::new();
    for _ in ["without the tables", "with them"] {
        let processes: Vec<_> = (0..20)
            .map(|_| {
                Command::new(env::current_exe().unwrap())
                    .args(["--exact", "schema::twenty_processes_migrate_at_once"])
                    .env(MIGRATE, &table)
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let ended = processes.into_iter().map(|mut process| process.wait());
        successes.push(
            ended
                .filter(|ended| ended.as_ref().unwrap().success())
                .count(),
        );
    }
    println!(
        "processes=20 successes_without={} successes_with={}",
        successes[0], successes[1]
    );
    assert_eq!(successes, [20, 20]);
    let store = fresh().table(table.parse().unwrap());
    assert!(store.connect().await.unwrap().is_migrated().await.unwrap());
}

#[tokio::test]
async fn the_printed_migration_can_be_run_again() {
    let table = unique_table();
    for _ in 0..2 {
        run(&PostgresStore::migration(&table)).await;
    }
    let store = fresh().table(table).connect().await.unwrap();
    store.migrate().await.unwrap();
    stored(&store, record()).await;
}

#[tokio::test]
async fn a_migration_creates_no_schema_and_needs_no_right_where_the_tables_are() {
    let role = format!("test_{:x}", fastrand::u64(..));
    let store = migrated(fresh()).await;
    let table = store.table();
    run(&format!(
        "create role {role} login password '{role}';
        grant select, insert, update, delete on {table} to {role};
        grant select on {} to {role}",
        table.to_string().replacen("\"", "", 2) + "_version",
    ))
    .await;
    let url = server().replace("cloakroom:cloakroom@", &format!("{role}:{role}@"));
    if url == server() {
        println!("not the server of scripts/with-servers: no second role's URL");
    }

    let theirs = PostgresStore::builder(&url).table(table.clone());
    let theirs = theirs.connect().await.unwrap();
    theirs.migrate().await.unwrap();
    stored(&theirs, record()).await;

    let missing: TableName = "no_such_schema.sessions".parse().unwrap();
    let mut kept = Vec::new();
    for table in [unique_table(), missing] {
        let theirs = PostgresStore::builder(&url).table(table);
        let theirs = theirs.connect().await.unwrap();
        let refused = theirs.migrate().await;
        assert!(matches!(refused, Err(Error::Backend(_))), "{refused:?}");
        kept.push(theirs);
    }
    // A migration that failed leaves no transaction open; its connection may be on its way out.
    let open = "select count(*) from pg_stat_activity where state like 'idle in transaction%'";
    let of_role = format!("{open} and usename = '{role}'");
    let mut left = number(&of_role).await;
    for _ in 0..100 {
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        left = number(&of_role).await;
    }
    println!("failed={} open_txns={left}", kept.len());
    assert_eq!(left, 0);
    drop((theirs, kept));
    run(&format!("drop owned by {role}")).await;
}

/// At a higher isolation level who has waited for others would not see what they have made.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_migrate_at_once_whatever_isolation_their_role_has() {
    let url = format!(
        "{}?options[default_transaction_isolation]=serializable",
        server()
    );
    let mut failed = 0;
    for _ in 0..10 {
        let table = unique_table();
        let mut nodes = JoinSet::new();
        for _ in 0..8 {
            let builder = PostgresStore::builder(&url).table(table.clone());
            nodes.spawn(async move { builder.connect().await.unwrap().migrate().await });
        }
        for migrated in nodes.join_all().await {
            if let Err(error) = migrated {
                failed += 1;
                println!("{error:?}");
            }
        }
        let version = table.to_string().replacen('"', "", 2) + "_version";
        assert_eq!(number(&format!("select count(*) from {version}")).await, 1);
    }
    println!("nodes=80 failed={failed}");
    assert_eq!(failed, 0);
}

/// The indexes of a table that was renamed keep their names.
#[tokio::test]
async fn a_migration_says_which_names_another_table_s_indexes_have() {
    let store = migrated(fresh()).await;
    let (_, name) = store.table().parts();
    run(&format!("alter table {name} rename to {name}_old")).await;
    for _ in 0..2 {
        let error = store.migrate().await.unwrap_err();
        assert!(matches!(error, Error::Backend(_)), "{error:?}");
        let words = words(&error);
        let says = format!(r#"the _owner or _sweep name of "{name}"; rename it"#);
        assert!(words.contains(&says), "{words}");
    }
    run(&format!(
        "alter index {name}_owner rename to {name}_old_owner;
        alter index {name}_sweep rename to {name}_old_sweep"
    ))
    .await;
    store.migrate().await.unwrap();
    let indexes = format!("select count(*) from pg_indexes where tablename = '{name}'");
    assert_eq!(number(&indexes).await, 3);
}

/// A role may have it, lest what its clients gave up stays on the server.
#[tokio::test]
async fn a_migration_waits_longer_than_a_role_s_statements_and_locks_may_last() {
    let limits = "options[statement_timeout]=100&options[lock_timeout]=100";
    let url = format!("{}?{limits}", server());
    let store = PostgresStore::builder(&url).table(unique_table());
    let store = store.connect().await.unwrap();
    let mut holder = connection().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = "select pg_advisory_xact_lock(x'636c6f616b726f6f'::bigint)";
    transaction.execute(lock).await.unwrap();
    let migrating = tokio::spawn({
        let store = store.clone();
        async move { store.migrate().await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    transaction.rollback().await.unwrap();
    migrating.await.unwrap().unwrap();
    stored(&store, record()).await;
    store.drop_tables().await.unwrap();
}

/// As many touches as a browser-length session can have in 12 hours rewrite no index entry but
/// once an hour.
///
/// In a database of its own: an old transaction of the same database, such as another test's,
/// keeps the server from using the space of old versions again.
#[tokio::test]
async fn touches_stay_on_their_page() {
    let database = format!("test_{:x}", fastrand::u64(..));
    run(&format!("create database {database}")).await;
    let url = in_database(&database);
    let store = migrated(PostgresStore::builder(&url)).await;
    let table = store.table().clone();
    let mut records = Vec::new();
    for _ in 0..20 {
        records.push(stored(&store, record()).await);
    }
    for _ in 0..20 {
        for record in &records {
            store.touch(record.id, 1).await.unwrap();
        }
    }

    // A connection has reported all that it did when it has ended.
    drop(store);
    let select = format!(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = '{table}'::regclass"
    );
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let began = Instant::now();
    let (touches, on_their_page) = loop {
        let counts: (i64, i64) = sqlx::query_as(AssertSqlSafe(select.clone()))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        if counts.0 == 400 {
            break counts;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{counts:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    println!("touches={touches} on_their_page={on_their_page}");
    assert!(on_their_page * 10 >= touches * 8);

    connection.close().await.unwrap();
    run(&format!("drop database {database} with (force)")).await;
}

/// What a server is asked for every few seconds, right after a large sweep too.
#[tokio::test]
async fn a_ping_reads_no_page_of_the_table() {
    let (builder, name) = named(&server());
    let store = migrated(builder).await;
    let table = store.table().clone();
    run(&format!(
        "alter table {table} set (autovacuum_enabled = false);
        insert into {table} select gen_random_uuid(), 1, now(), now(), 0, 0, 0, 0, null, ''
            from generate_series(1, 20000);
        delete from {table}"
    ))
    .await;
    let read = format!(
        "select heap_blks_read + heap_blks_hit from pg_statio_user_tables
        where relid = '{table}'::regclass"
    );
    let before = number(&read).await;
    store.ping().await.unwrap();
    // A connection has reported all that it did when it has ended.
    drop(store);
    while connections(&name, "").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pages = number(&read).await - before;
    println!("pages={pages}");
    assert_eq!(pages, 0);
}
