//! What earlier versions have left on the server, and what later ones may.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloakroom_store_api::{Age, Error, Lifetime, Record, Saved, SessionId, SessionStore};
use cloakroom_test_support::rounds;

use crate::support::{ask, fresh_store, key, owned, owner_key, record, stored};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// A record as version 1 encoded it, of `user-17`.
const PAYLOAD: &[u8] =
    b"\x01\xa4m\x82\xf2\x01\xfc\x00\x08\x19H\xfd\x00X|\xcf\x01\x00\x00\x00\x01\x07\
    user-17\x03\x04cart\x07[1,2,3]\x07gr\xc3\xb6\xc3\x9fe\x04\"42\"\x06visits\x017";

/// A key's value as version 1 wrote it: live, persistent, at revision 3, an hour old.
fn value(now: u64) -> Vec<u8> {
    let mut value = vec![1, 1];
    let nonce = 0x0123_4567_89ab_cdef;
    for number in [3, nonce, now + 13 * DAY, now - HOUR, 14 * DAY, 90 * DAY] {
        value.extend(number.to_be_bytes());
    }
    value.extend(7_u16.to_be_bytes());
    value.extend(b"user-17");
    value.extend(PAYLOAD);
    value
}

#[tokio::test]
async fn what_version_1_has_left_is_used() {
    let store = fresh_store().await;
    let id = SessionId::from_bytes([1; 16]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let mut set = redis::cmd("SET");
    set.arg(key(&store, id)).arg(value(now));
    let _: () = ask(set.arg("PX").arg(13 * DAY)).await;
    let mut enter = redis::cmd("ZADD");
    enter.arg(owner_key(&store, "user-17")).arg(now + 90 * DAY);
    let _: () = ask(enter.arg(id.as_bytes())).await;

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

/// Changes a byte of a session's value, as a later version may have written it, and says what is
/// there then.
async fn changed(path: &str, place: usize, byte: u8) -> Vec<u8> {
    let mut set = redis::cmd("SETRANGE");
    let _: u64 = ask(set.arg(path).arg(place).arg(&[byte])).await;
    ask(redis::cmd("GET").arg(path)).await
}

/// As an earlier process meets it, beside a later one: every second one has another header,
/// the others another payload, and then a higher revision.
#[tokio::test]
async fn a_value_of_a_later_format_is_left_alone_until_it_ends() {
    const REVISION: usize = 9;
    let store = fresh_store().await;
    let payload = 52 + "zoë".len();
    let mut sessions = Vec::new();
    for n in 0..rounds(100) {
        let session = stored(&store, owned("zoë")).await;
        let path = key(&store, session.id);
        let value = match n % 2 {
            0 => changed(&path, 0, 9).await,
            _ => {
                changed(&path, REVISION, 2).await;
                changed(&path, payload, 2).await
            }
        };
        sessions.push((session, path, value));
    }
    for (n, (session, ..)) in sessions.iter().enumerate() {
        let id = session.id;
        let moved = Record {
            id: record().id,
            ..session.clone()
        };
        let anew = Record { id, ..record() };
        assert!(is_corrupt(&store.load(id).await));
        let (saved, rotated, touched, created) = (
            store.save(session).await,
            store.rotate(id, &moved, Age::Keep).await,
            store.touch(id, 1).await,
            store.save(&anew).await,
        );
        if n % 2 == 0 {
            assert!(is_corrupt(&saved) && is_corrupt(&rotated) && is_corrupt(&touched));
        } else {
            assert_eq!(saved.unwrap(), Saved::Conflict);
            assert_eq!(rotated.unwrap(), Saved::Conflict);
            assert_eq!(touched.unwrap(), None);
        }
        assert!(is_corrupt(&created) || matches!(created, Ok(Saved::Conflict)));
    }
    assert_eq!(store.list("zoë").await.unwrap(), []);
    let (mut overwritten, mut removed) = (0, 0);
    for (_, path, value) in &sessions {
        let found: Option<Vec<u8>> = ask(redis::cmd("GET").arg(path)).await;
        removed += u32::from(found.is_none());
        overwritten += u32::from(found.is_some_and(|found| found != *value));
    }
    let count = sessions.len();
    println!("sessions={count} overwritten={overwritten} removed={removed}");
    assert_eq!((overwritten, removed), (0, 0));

    // A third expires, a third is ended one by one, the rest by its owner.
    let third = count / 3;
    for (session, path, _) in &sessions[..third] {
        let _: u32 = ask(redis::cmd("PEXPIRE").arg(path).arg(1)).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(store.load(session.id).await.unwrap(), None);
    }
    for (session, ..) in &sessions[third..2 * third] {
        assert!(store.expire(session.id).await.unwrap());
    }
    let ended = store.expire_owner("zoë", None).await.unwrap();
    assert_eq!(ended, (count - 2 * third) as u64);
}
