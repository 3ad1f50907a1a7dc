//! What actix-session documents of a store, on each of ours. PostgreSQL needs a server:
//! `scripts/with-servers`.

use std::{collections::HashMap, sync::Arc};

use actix_session::storage::{SessionKey, SessionStore, UpdateError, generate_session_key};
use cloakroom_actix_session::{ActixSessionStore, Entries};
use cloakroom_store_api::{SessionId, SessionStore as Store, Stamp};
use cloakroom_test_stores::on_every_store;
use time::Duration;

on_every_store!(
    a_saved_session_is_loaded,
    an_unknown_key_has_no_session,
    each_session_has_a_key_of_its_own,
    an_update_replaces_all_entries_and_keeps_the_key,
    a_deleted_session_cannot_be_updated,
    an_expired_session_cannot_be_updated,
    deleting_twice_is_no_error,
    a_longer_time_to_live_keeps_the_session,
    a_shorter_time_to_live_ends_it_sooner,
    no_time_to_live_ends_the_session,
    the_store_never_sees_the_key,
    the_sessions_of_an_owner_end_together,
    what_is_too_large_is_a_serialization_error,
    purge_wins_over_slow_updates,
    an_update_survives_a_new_time_to_live,
);

type Stores = Arc<dyn Store>;

const HOUR: Duration = Duration::HOUR;
const SHORT: Duration = Duration::milliseconds(40);

/// Longer than [`SHORT`].
async fn wait() {
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
}

fn entries() -> Entries {
    HashMap::from([
        ("user_id".to_owned(), "17".to_owned()),
        ("name".to_owned(), "\"Zoë\"".to_owned()),
    ])
}

fn changed() -> Entries {
    HashMap::from([("counter".to_owned(), "1".to_owned())])
}

/// The type has no `Clone`, and `update` takes it.
fn copy(key: &SessionKey) -> SessionKey {
    key.as_ref().to_owned().try_into().unwrap()
}

fn ended(result: Result<SessionKey, UpdateError>) -> bool {
    match result {
        Err(UpdateError::Other(error)) => error.to_string() == "session has ended",
        Ok(_) => false,
        Err(other) => panic!("{other}"),
    }
}

async fn a_saved_session_is_loaded(store: Stores) {
    let store = ActixSessionStore::new(store);
    let key = store.save(entries(), &HOUR).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap(), Some(entries()));
}

async fn an_unknown_key_has_no_session(store: Stores) {
    let store = ActixSessionStore::new(store);
    for key in [generate_session_key(), String::new().try_into().unwrap()] {
        assert_eq!(store.load(&key).await.unwrap(), None);
        assert!(ended(store.update(copy(&key), entries(), &HOUR).await));
        assert!(store.update_ttl(&key, &HOUR).await.is_err());
        assert_eq!(store.load(&key).await.unwrap(), None);
    }
}

async fn each_session_has_a_key_of_its_own(store: Stores) {
    let store = ActixSessionStore::new(store);
    let first = store.save(entries(), &HOUR).await.unwrap();
    let second = store.save(changed(), &HOUR).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(store.load(&first).await.unwrap(), Some(entries()));
    assert_eq!(store.load(&second).await.unwrap(), Some(changed()));
}

async fn an_update_replaces_all_entries_and_keeps_the_key(store: Stores) {
    let store = ActixSessionStore::new(store);
    let key = store.save(entries(), &HOUR).await.unwrap();
    for state in [changed(), HashMap::new(), entries()] {
        let updated = store.update(copy(&key), state.clone(), &HOUR).await;
        assert_eq!(updated.unwrap(), key);
        assert_eq!(store.load(&key).await.unwrap(), Some(state));
    }
}

async fn a_deleted_session_cannot_be_updated(store: Stores) {
    let store = ActixSessionStore::new(store);
    let key = store.save(entries(), &HOUR).await.unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap(), None);
    assert!(ended(store.update(copy(&key), changed(), &HOUR).await));
    assert!(store.update_ttl(&key, &HOUR).await.is_err());
    assert_eq!(store.load(&key).await.unwrap(), None);
}

async fn an_expired_session_cannot_be_updated(store: Stores) {
    let store = ActixSessionStore::new(store);
    let key = store.save(entries(), &SHORT).await.unwrap();
    wait().await;
    assert_eq!(store.load(&key).await.unwrap(), None);
    assert!(ended(store.update(copy(&key), changed(), &HOUR).await));
    assert!(store.update_ttl(&key, &HOUR).await.is_err());
    assert_eq!(store.load(&key).await.unwrap(), None);
}

async fn deleting_twice_is_no_error(store: Stores) {
    let store = ActixSessionStore::new(store);
    let key = store.save(entries(), &HOUR).await.unwrap();
    store.delete(&key).await.unwrap();
    store.delete(&key).await.unwrap();
    store.delete(&generate_session_key()).await.unwrap();
}

async fn stamp(store: &Stores, key: &SessionKey) -> Stamp {
    store.load(id(key)).await.unwrap().unwrap().stamp.unwrap()
}

/// What the store says is left of the session.
async fn remaining(store: &Stores, key: &SessionKey) -> Duration {
    stamp(store, key).await.remaining.try_into().unwrap()
}

fn id(key: &SessionKey) -> SessionId {
    SessionId::of_secret("cloakroom actix-session id v1", key.as_ref().as_bytes())
}

async fn a_longer_time_to_live_keeps_the_session(store: Stores) {
    let sessions = ActixSessionStore::new(store.clone());
    let key = sessions.save(entries(), &Duration::MINUTE).await.unwrap();
    assert!(remaining(&store, &key).await <= Duration::MINUTE);
    sessions.update_ttl(&key, &HOUR).await.unwrap();
    let left = remaining(&store, &key).await;
    assert!(left > Duration::MINUTE * 30 && left <= HOUR, "{left}");
    let before = stamp(&store, &key).await.expires_at;
    wait().await;
    assert_eq!(stamp(&store, &key).await.expires_at, before);
    sessions.update_ttl(&key, &HOUR).await.unwrap();
    assert!(stamp(&store, &key).await.expires_at > before);
    assert_eq!(sessions.load(&key).await.unwrap(), Some(entries()));
    let day = Duration::DAY;
    sessions.update(copy(&key), changed(), &day).await.unwrap();
    assert!(remaining(&store, &key).await > HOUR);
}

async fn a_shorter_time_to_live_ends_it_sooner(store: Stores) {
    let store = ActixSessionStore::new(store);
    let key = store.save(entries(), &HOUR).await.unwrap();
    store.update_ttl(&key, &SHORT).await.unwrap();
    wait().await;
    assert_eq!(store.load(&key).await.unwrap(), None);
}

async fn no_time_to_live_ends_the_session(store: Stores) {
    let store = ActixSessionStore::new(store);
    for ttl in [Duration::ZERO, -HOUR] {
        let key = store.save(entries(), &ttl).await.unwrap();
        assert_eq!(store.load(&key).await.unwrap(), None);
        let key = store.save(entries(), &HOUR).await.unwrap();
        store.update_ttl(&key, &ttl).await.unwrap();
        assert_eq!(store.load(&key).await.unwrap(), None);
        let key = store.save(entries(), &HOUR).await.unwrap();
        store.update(copy(&key), changed(), &ttl).await.unwrap();
        assert_eq!(store.load(&key).await.unwrap(), None);
    }
}

async fn the_store_never_sees_the_key(store: Stores) {
    let sessions = ActixSessionStore::new(store.clone());
    let key = sessions.save(entries(), &HOUR).await.unwrap();
    let kept = store.load(id(&key)).await.unwrap().unwrap();
    let mut texts = kept.data.iter().flat_map(|(key, json)| [key, json]);
    assert!(texts.all(|text| !text.contains(key.as_ref())));
}

async fn the_sessions_of_an_owner_end_together(store: Stores) {
    let sessions =
        ActixSessionStore::new(store.clone()).owner(|entries| entries.get("user_id")?.parse().ok());
    let first = sessions.save(entries(), &HOUR).await.unwrap();
    let second = sessions.save(changed(), &HOUR).await.unwrap();
    let second = sessions.update(second, entries(), &HOUR).await.unwrap();
    let nobodys = sessions.save(changed(), &HOUR).await.unwrap();
    assert_eq!(store.list("17").await.unwrap().len(), 2);
    assert_eq!(store.expire_owner("17", None).await.unwrap(), 2);
    assert_eq!(sessions.load(&first).await.unwrap(), None);
    assert_eq!(sessions.load(&second).await.unwrap(), None);
    assert!(sessions.load(&nobodys).await.unwrap().is_some());
}

async fn what_is_too_large_is_a_serialization_error(store: Stores) {
    let store = ActixSessionStore::new(store);
    let large = HashMap::from([("text".to_owned(), "x".repeat(2 << 20))]);
    let error = store.save(large.clone(), &HOUR).await.unwrap_err();
    assert!(error.to_string().contains("serialize"), "{error:?}");
    let key = store.save(entries(), &HOUR).await.unwrap();
    let error = store.update(copy(&key), large, &HOUR).await.unwrap_err();
    assert!(matches!(error, UpdateError::Serialization(_)), "{error:?}");
    assert_eq!(store.load(&key).await.unwrap(), Some(entries()));
}

async fn purge_wins_over_slow_updates(store: Stores) {
    let sessions = ActixSessionStore::new(store);
    let (rounds, mut saved, mut refused, mut revived) = (200, 0, 0, 0);
    for _ in 0..rounds {
        let key = sessions.save(entries(), &HOUR).await.unwrap();
        let slow: Vec<_> = (0..8)
            .map(|_| {
                let (sessions, key) = (sessions.clone(), copy(&key));
                tokio::spawn(async move { ended(sessions.update(key, changed(), &HOUR).await) })
            })
            .collect();
        sessions.delete(&key).await.unwrap();
        for update in slow {
            if update.await.unwrap() {
                refused += 1;
            } else {
                saved += 1;
            }
        }
        revived += u32::from(sessions.load(&key).await.unwrap().is_some());
    }
    println!("rounds={rounds} saved={saved} refused={refused} revived={revived}");
    assert_eq!(revived, 0);
}

/// Who changes the time to live saves the entries as it found them.
async fn an_update_survives_a_new_time_to_live(store: Stores) {
    let sessions = ActixSessionStore::new(store);
    let (rounds, mut lost) = (200, 0);
    for _ in 0..rounds {
        let key = sessions.save(entries(), &HOUR).await.unwrap();
        let extending: Vec<_> = (2..6)
            .map(|hours| {
                let (sessions, key) = (sessions.clone(), copy(&key));
                tokio::spawn(async move { sessions.update_ttl(&key, &(HOUR * hours)).await })
            })
            .collect();
        let updated = sessions.update(copy(&key), changed(), &HOUR).await;
        assert_eq!(updated.unwrap(), key);
        for extended in extending {
            extended.await.unwrap().unwrap();
        }
        lost += u32::from(sessions.load(&key).await.unwrap() != Some(changed()));
    }
    println!("rounds={rounds} lost={lost}");
    assert_eq!(lost, 0);
}
