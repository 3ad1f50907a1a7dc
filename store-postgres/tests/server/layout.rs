//! What earlier versions have left in the database, and what later ones may.

use cloakroom_store_api::{Age, Error, Lifetime, Record, Saved, SessionId, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::rounds;
use tokio::task::JoinSet;

use crate::support::{fresh, make_due, migrated, number, owned, record, run, stored};

#[tokio::test]
async fn what_version_1_has_left_is_used() {
    let store = fresh().connect().await.unwrap();
    let table = store.table().to_string().replace('"', "");
    run(&include_str!("layout-1.sql").replace("TABLE", &table)).await;
    store.migrate().await.unwrap();

    let id = SessionId::from_bytes([1; 16]);
    let found = store.load(id).await.unwrap().unwrap();
    let entries: Vec<_> = found.data.iter().collect();
    assert_eq!(
        entries,
        [("cart", "[1,2,3]"), ("größe", "\"42\""), ("visits", "7")]
    );
    assert_eq!((found.revision, found.lifetime), (3, Lifetime::PERSISTENT));
    assert_eq!(store.list("user-17").await.unwrap()[0].id, id);
    assert!(store.touch(id, 3).await.unwrap().is_some());
    let saved = stored(&store, found).await;
    let new = Record {
        id: record().id,
        ..saved
    };
    let rotated = store.rotate(id, &new, Age::Keep).await.unwrap();
    assert!(matches!(rotated, Saved::Stored(_)));
    assert_eq!(store.expire_owner("user-17", None).await.unwrap(), 1);
}

fn is_corrupt<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Corrupt { .. }))
}

/// What a later version has saved: the format byte is another one, and the revision is higher.
async fn saved_by_a_later_version(store: &PostgresStore) {
    let table = store.table();
    run(&format!(
        "update {table} set payload = overlay(payload placing '\\x02' from 1), revision = 2"
    ))
    .await;
}

/// As an earlier process meets it, beside a later one.
#[tokio::test]
async fn a_payload_of_a_later_format_is_left_alone_until_it_ends() {
    let store = migrated(fresh()).await;
    let mut sessions = Vec::new();
    for _ in 0..rounds(100) {
        sessions.push(stored(&store, owned("zoë")).await);
    }
    saved_by_a_later_version(&store).await;
    for session in &sessions {
        let (id, new) = (session.id, record());
        assert!(is_corrupt(&store.load(id).await));
        assert_eq!(store.save(session).await.unwrap(), Saved::Conflict);
        let rotated = store.rotate(id, &new, Age::Keep).await.unwrap();
        assert_eq!(rotated, Saved::Gone, "its revision is 0");
        let moved = Record {
            id: new.id,
            ..session.clone()
        };
        let rotated = store.rotate(id, &moved, Age::Keep).await.unwrap();
        assert_eq!(rotated, Saved::Conflict);
        assert_eq!(store.touch(id, 1).await.unwrap(), None);
        let anew = Record { id, ..new };
        assert_eq!(store.save(&anew).await.unwrap(), Saved::Conflict);
    }
    assert_eq!(store.list("zoë").await.unwrap(), []);
    make_due(&store).await;
    let many = std::num::NonZeroU32::MAX;
    while store.sweep(many).await.unwrap().more {}
    let left = async |what: &str| {
        let sql = format!("select count(*) from {} where {what}", store.table());
        number(&sql).await
    };
    let is_later = "get_byte(payload, 0) = 2 and revision = 2";
    let sessions = sessions.len() as i64;
    let removed = sessions - left("true").await;
    let overwritten = sessions - removed - left(is_later).await;
    println!("sessions={sessions} overwritten={overwritten} removed={removed}");
    assert_eq!((overwritten, removed), (0, 0));

    // Half of them is ended, the other half expires.
    let half = format!("select id from {} limit {}", store.table(), sessions / 2);
    run(&format!(
        "update {} set expires_at = created_at where id in ({half})",
        store.table()
    ))
    .await;
    while store.sweep(many).await.unwrap().more {}
    assert_eq!(left("true").await, sessions - sessions / 2);
    let ended = store.expire_owner("zoë", None).await.unwrap();
    assert_eq!(i64::try_from(ended).unwrap(), sessions - sessions / 2);
    assert_eq!(left("true").await, 0);
}

/// As somebody may set them by hand: `time` knows no such instants.
#[tokio::test]
async fn an_instant_beyond_the_calendar_hurts_nobody() {
    let store = migrated(fresh()).await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(stored(&store, owned("ann")).await);
    }
    let (endless, ancient) = (sessions[0].id, sessions[1].id);
    let table = store.table();
    run(&format!(
        "update {table} set expires_at = 'infinity' where id = '{endless}';
        update {table} set created_at = '-infinity' where id = '{ancient}'"
    ))
    .await;
    let mut loads = JoinSet::new();
    for Record { id, .. } in &sessions {
        let (store, id) = (store.clone(), *id);
        loads.spawn(async move { store.load(id).await.is_ok_and(|found| found.is_some()) });
    }
    let loaded = loads.join_all().await.into_iter().filter(|is| *is).count();
    let listed = store.list("ann").await.map(|found| found.len());
    println!("sessions=8 loaded={loaded} listed={listed:?}");
    assert_eq!((loaded, listed.unwrap()), (8, 8));
    for id in [endless, ancient] {
        assert!(store.touch(id, 1).await.unwrap().is_some());
    }
    run(&format!("update {table} set expires_at = 'infinity'")).await;
    assert_eq!(store.stats().await.unwrap().browser, 8);
    assert!(matches!(
        store.save(&sessions[0]).await,
        Ok(Saved::Stored(_))
    ));
}
