//! What tower-sessions documents of a store, on each of ours. PostgreSQL needs a server:
//! `scripts/with-servers`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use cloakroom_store_api::{Owner, SessionId, SessionStore as Store};
use cloakroom_test_stores::on_every_store;
use cloakroom_tower_sessions::TowerSessionsStore;
use time::OffsetDateTime;
use tower_sessions::{
    ExpiredDeletion, Expiry, Session, SessionStore,
    session::{Id, Record},
    session_store::Error,
};

on_every_store!(
    a_created_session_is_loaded,
    create_always_gives_a_new_id,
    a_save_replaces_the_whole_record,
    a_session_that_was_never_created_cannot_be_saved,
    a_deleted_session_cannot_be_saved,
    deleting_twice_is_no_error,
    a_session_ends_at_its_expiry_date,
    an_expiry_date_that_has_passed_ends_the_session,
    a_later_expiry_date_keeps_the_session,
    the_store_never_sees_the_id_of_the_cookie,
    the_sessions_of_an_owner_end_together,
    a_cycled_id_leaves_the_old_one_dead,
    a_flushed_session_begins_anew_under_another_id,
    what_is_too_large_is_an_encoding_error,
    what_has_expired_is_deleted,
    logout_wins_over_slow_saves,
);

type Stores = Arc<dyn Store>;

const HOUR: Duration = Duration::from_hours(1);

fn record(remaining: Duration) -> Record {
    Record {
        id: Id::default(),
        data: HashMap::from([
            ("name".to_owned(), "Zoë".into()),
            ("cart".to_owned(), [1, 2].as_slice().into()),
            ("nothing".to_owned(), serde_json::Value::Null),
        ]),
        expiry_date: OffsetDateTime::now_utc() + remaining,
    }
}

async fn created(store: &impl SessionStore, remaining: Duration) -> Record {
    let mut record = record(remaining);
    store.create(&mut record).await.unwrap();
    record
}

fn ended(result: Result<(), Error>) -> bool {
    match result {
        Err(Error::Backend(text)) => text == "session has ended",
        Ok(()) => false,
        Err(other) => panic!("{other}"),
    }
}

async fn a_created_session_is_loaded(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let record = created(&store, HOUR).await;
    let loaded = store.load(&record.id).await.unwrap().unwrap();
    assert_eq!((loaded.id, &loaded.data), (record.id, &record.data));
    let off = (loaded.expiry_date - record.expiry_date).abs();
    assert!(off < Duration::from_mins(1), "{off}");
    assert_eq!(store.load(&Id::default()).await.unwrap(), None);
}

async fn create_always_gives_a_new_id(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let first = created(&store, HOUR).await;
    let mut second = first.clone();
    second.data.insert("name".to_owned(), "Ada".into());
    store.create(&mut second).await.unwrap();
    assert_ne!(first.id, second.id);
    for record in [first, second] {
        let loaded = store.load(&record.id).await.unwrap().unwrap();
        assert_eq!(loaded.data, record.data);
    }
}

async fn a_save_replaces_the_whole_record(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let mut record = created(&store, HOUR).await;
    record.data = HashMap::from([("name".to_owned(), "Ada".into())]);
    for round in 0..3 {
        record.data.insert("round".to_owned(), round.into());
        store.save(&record).await.unwrap();
        let loaded = store.load(&record.id).await.unwrap().unwrap();
        assert_eq!(loaded.data, record.data);
    }
}

async fn a_session_that_was_never_created_cannot_be_saved(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let record = record(HOUR);
    assert!(ended(store.save(&record).await));
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

async fn a_deleted_session_cannot_be_saved(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let record = created(&store, HOUR).await;
    store.delete(&record.id).await.unwrap();
    assert!(ended(store.save(&record).await));
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

async fn deleting_twice_is_no_error(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let record = created(&store, HOUR).await;
    for _ in 0..2 {
        store.delete(&record.id).await.unwrap();
        assert_eq!(store.load(&record.id).await.unwrap(), None);
    }
}

async fn a_session_ends_at_its_expiry_date(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let record = created(&store, Duration::from_millis(40)).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    assert!(ended(store.save(&later(&record)).await));
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

fn later(record: &Record) -> Record {
    Record {
        expiry_date: OffsetDateTime::now_utc() + HOUR,
        ..record.clone()
    }
}

async fn an_expiry_date_that_has_passed_ends_the_session(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let mut record = created(&store, HOUR).await;
    record.expiry_date = OffsetDateTime::now_utc() - HOUR;
    store.save(&record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
    assert!(ended(store.save(&later(&record)).await));
    store.create(&mut record).await.unwrap();
    assert_eq!(store.load(&record.id).await.unwrap(), None);
}

async fn a_later_expiry_date_keeps_the_session(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let record = created(&store, Duration::from_mins(1)).await;
    store.save(&later(&record)).await.unwrap();
    let loaded = store.load(&record.id).await.unwrap().unwrap();
    let remaining = loaded.expiry_date - OffsetDateTime::now_utc();
    assert!(remaining > Duration::from_mins(30), "{remaining}");
    assert!(remaining <= HOUR, "{remaining}");
}

async fn the_store_never_sees_the_id_of_the_cookie(store: Stores) {
    let sessions = TowerSessionsStore::new(store.clone());
    let Id(key) = created(&sessions, HOUR).await.id;
    for bytes in [key.to_le_bytes(), key.to_be_bytes()] {
        let id = SessionId::from_bytes(bytes);
        assert_eq!(store.load(id).await.unwrap(), None);
    }
    let hashed = SessionId::of_secret("cloakroom tower-sessions id v1", &key.to_le_bytes());
    let kept = store.load(hashed).await.unwrap().unwrap();
    assert!(
        kept.data
            .iter()
            .all(|(_, json)| !json.contains(&Id(key).to_string()))
    );
}

async fn the_sessions_of_an_owner_end_together(store: Stores) {
    let name = |entries: &HashMap<_, serde_json::Value>| -> Option<Owner> {
        entries.get("name")?.as_str()?.parse().ok()
    };
    let sessions = TowerSessionsStore::new(store.clone()).owner(name);
    let records = [
        created(&sessions, HOUR).await,
        created(&sessions, HOUR).await,
    ];
    let mut renamed = created(&sessions, HOUR).await;
    renamed.data.insert("name".to_owned(), "Ada".into());
    sessions.save(&renamed).await.unwrap();
    assert_eq!(store.list("Zoë").await.unwrap().len(), 2);
    assert_eq!(store.expire_owner("Zoë", None).await.unwrap(), 2);
    for record in records {
        assert_eq!(sessions.load(&record.id).await.unwrap(), None);
    }
    assert!(sessions.load(&renamed.id).await.unwrap().is_some());
}

fn session(id: Option<Id>, store: &Stores) -> Session {
    let sessions = Arc::new(TowerSessionsStore::new(store.clone()));
    let expiry = Expiry::OnInactivity(time::Duration::hours(1));
    Session::new(id, sessions, Some(expiry))
}

async fn a_cycled_id_leaves_the_old_one_dead(store: Stores) {
    let first = session(None, &store);
    first.insert("name", "Zoë").await.unwrap();
    first.save().await.unwrap();
    let old = first.id();
    let slow = session(old, &store);
    slow.insert("slow", true).await.unwrap();
    first.cycle_id().await.unwrap();
    first.save().await.unwrap();
    assert_ne!(first.id(), old);
    assert!(slow.save().await.is_err());
    let name = session(first.id(), &store).get::<String>("name").await;
    assert_eq!(name.unwrap().as_deref(), Some("Zoë"));
    assert_eq!(
        session(old, &store).get::<String>("name").await.unwrap(),
        None
    );
}

async fn a_flushed_session_begins_anew_under_another_id(store: Stores) {
    let first = session(None, &store);
    first.insert("user", 17).await.unwrap();
    first.save().await.unwrap();
    let old = first.id();
    let slow = session(old, &store);
    slow.insert("slow", true).await.unwrap();
    first.flush().await.unwrap();
    first.insert("message", "signed out").await.unwrap();
    first.save().await.unwrap();
    assert_ne!(first.id(), old);
    assert!(slow.save().await.is_err());
    let fresh = session(first.id(), &store);
    assert_eq!(fresh.get::<u32>("user").await.unwrap(), None);
    let old = session(old, &store);
    assert_eq!(old.get::<u32>("user").await.unwrap(), None);
}

async fn what_is_too_large_is_an_encoding_error(store: Stores) {
    let store = TowerSessionsStore::new(store);
    let mut record = created(&store, HOUR).await;
    let small = record.clone();
    record
        .data
        .insert("text".to_owned(), "x".repeat(2 << 20).into());
    let error = store.save(&record).await.unwrap_err();
    assert!(matches!(error, Error::Encode(_)), "{error:?}");
    let loaded = store.load(&record.id).await.unwrap().unwrap();
    assert_eq!(loaded.data, small.data);
    let error = store.create(&mut record).await.unwrap_err();
    assert!(matches!(error, Error::Encode(_)), "{error:?}");
}

async fn what_has_expired_is_deleted(store: Stores) {
    let sessions = TowerSessionsStore::new(store.clone());
    let live = created(&sessions, HOUR).await;
    for _ in 0..20 {
        created(&sessions, Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    sessions.delete_expired().await.unwrap();
    assert!(!store.sweep(1.try_into().unwrap()).await.unwrap().more);
    assert!(sessions.load(&live.id).await.unwrap().is_some());
}

async fn logout_wins_over_slow_saves(store: Stores) {
    let sessions = TowerSessionsStore::new(store);
    let (rounds, mut saved, mut refused, mut revived) = (200, 0, 0, 0);
    for _ in 0..rounds {
        let record = created(&sessions, HOUR).await;
        let slow: Vec<_> = (0..8)
            .map(|_| {
                let (sessions, record) = (sessions.clone(), record.clone());
                tokio::spawn(async move { ended(sessions.save(&record).await) })
            })
            .collect();
        sessions.delete(&record.id).await.unwrap();
        for save in slow {
            if save.await.unwrap() {
                refused += 1;
            } else {
                saved += 1;
            }
        }
        revived += u32::from(sessions.load(&record.id).await.unwrap().is_some());
    }
    println!("rounds={rounds} saved={saved} refused={refused} revived={revived}");
    assert_eq!(revived, 0);
}
