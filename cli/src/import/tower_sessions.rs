//! What tower-sessions-sqlx-store keeps of a session.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cloakroom_store_api::{Data, Lifetime, Owner, Persistence, Record, SessionId};
use rmp_serde::Deserializer;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::args::Pointer;

/// Why a session cannot be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Its id or its record is not as tower-sessions writes it.
    Unreadable,
    /// No store of ours would take it.
    TooLarge,
}

/// A row's session as cloakroom-tower-sessions would have stored it.
pub(crate) fn record(
    id: &str,
    data: &[u8],
    remaining: Duration,
    owner: Option<&Pointer>,
) -> Result<Record, Unusable> {
    let key = key(id).ok_or(Unusable::Unreadable)?;
    let entries = entries(key, data).ok_or(Unusable::Unreadable)?;
    let texts: BTreeMap<_, _> = entries
        .iter()
        .map(|(key, value)| (&**key, value.to_string()))
        .collect();
    if !texts.values().all(|text| is_readable(text)) {
        return Err(Unusable::Unreadable);
    }
    let texts = texts.iter().map(|(key, json)| (*key, &**json)).collect();
    let data = Data::new(&texts).map_err(|_| Unusable::TooLarge)?;
    let lifetime = Lifetime::new(Persistence::Persistent, remaining, Lifetime::LIMIT);
    let record = Record {
        data,
        owner: owner.and_then(|pointer| self::owner(entries, pointer)),
        ..Record::new(session_id(key), lifetime)
    };
    match record.encode() {
        Ok(_) => Ok(record),
        Err(_) => Err(Unusable::TooLarge),
    }
}

/// What an id encodes: in the cookie and in the table it is the same text.
fn key(id: &str) -> Option<i128> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).ok()?;
    Some(i128::from_le_bytes(bytes.try_into().ok()?))
}

/// As in cloakroom-tower-sessions, which looks sessions up by it.
fn session_id(key: i128) -> SessionId {
    SessionId::of_secret("cloakroom tower-sessions id v1", &key.to_le_bytes())
}

/// The entries in a record of this id: MessagePack of id, entries and expiry date, the last of
/// which is a column too.
fn entries(key: i128, data: &[u8]) -> Option<Map<String, Value>> {
    let mut decoder = Deserializer::from_read_ref(data);
    decoder.set_max_depth(DEPTH);
    let (id, entries, IgnoredAny) = <(i128, _, _)>::deserialize(&mut decoder).ok()?;
    (id == key).then_some(entries)
}

/// Deeper than [`is_readable`] goes, and shallow enough for the stack.
const DEPTH: usize = 256;

/// Whether an application can read what it has written. JSON has a depth where serde_json gives
/// up, which MessagePack has not.
fn is_readable(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

fn owner(entries: Map<String, Value>, pointer: &Pointer) -> Option<Owner> {
    match Value::Object(entries).pointer(&pointer.0)? {
        Value::String(text) => text.parse().ok(),
        number @ Value::Number(_) if !number.is_f64() => number.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_store_api::{ENTRIES_LIMIT, KEY_LIMIT, RECORD_LIMIT};
    use serde_json::json;

    use super::*;

    const ID: &str = "WM6Px-GdN7RlNoJ8uWRfQQ";

    const DAY: Duration = Duration::from_hours(24);

    /// As tower-sessions writes it; of the date only the place matters.
    fn written(id: &str, entries: &Value) -> Vec<u8> {
        rmp_serde::to_vec(&(key(id).unwrap(), entries, [2999, 1, 0, 0, 0, 0, 0, 0, 0])).unwrap()
    }

    fn read(entries: &Value) -> Result<Record, Unusable> {
        record(ID, &written(ID, entries), DAY, None)
    }

    #[test]
    fn entries_and_what_remains_are_kept() {
        let record = read(&json!({ "user": "Zoë", "cart": [1, -2, 0.1, u64::MAX, null] })).unwrap();
        assert_eq!(
            record.data.iter().collect::<Vec<_>>(),
            [
                ("cart", "[1,-2,0.1,18446744073709551615,null]"),
                ("user", "\"Zoë\""),
            ]
        );
        assert_eq!(record.lifetime.idle(), DAY);
        assert_eq!((record.revision, record.owner), (0, None));
    }

    #[test]
    fn the_owner_is_where_the_pointer_says() {
        let entries = json!({ "login": { "id": 17 }, "a/b": "ann", "score": 1.5, "none": "" });
        let data = written(ID, &entries);
        for (pointer, owner) in [
            ("/login/id", Some("17")),
            ("/a~1b", Some("ann")),
            ("/login", None),
            ("/score", None),
            ("/none", None),
            ("/nobody", None),
        ] {
            let record = record(ID, &data, DAY, Some(&pointer.parse().unwrap())).unwrap();
            assert_eq!(record.owner.as_deref(), owner, "{pointer}");
        }
    }

    #[test]
    fn only_an_id_as_the_cookie_has_it_is_one() {
        let data = written(ID, &json!({}));
        assert!(record(ID, &data, DAY, None).is_ok());
        for wrong in [
            "",
            "WM6Px-GdN7RlNoJ8uWRfQ",
            "WM6Px-GdN7RlNoJ8uWRfQQ=",
            "WM6Px-GdN7RlNoJ8uWRfQR", // a stray bit in the last character
            "WM6Px+GdN7RlNoJ8uWRfQQ", // another alphabet
            "AAAAAAAAAAAAAAAAAAAAAA", // of another record
            "WM6Px-GdN7RlNoJ8uWRfQQA",
        ] {
            let read = record(wrong, &data, DAY, None);
            assert_eq!(read.unwrap_err(), Unusable::Unreadable, "{wrong:?}");
        }
    }

    #[test]
    fn what_no_store_would_take_is_too_large() {
        let many: Map<_, _> = (0..=ENTRIES_LIMIT)
            .map(|n| (n.to_string(), json!(1)))
            .collect();
        for entries in [
            json!({ "big": "x".repeat(RECORD_LIMIT) }),
            // An entry of one byte, six as JSON has it.
            json!({ "control": "\u{1}".repeat(RECORD_LIMIT / 5) }),
            json!({ "k".repeat(KEY_LIMIT + 1): 1 }),
            many.into(),
        ] {
            assert_eq!(read(&entries).unwrap_err(), Unusable::TooLarge);
        }
    }

    #[test]
    fn what_is_nested_too_deep_to_be_read_again_is_unreadable() {
        let nested = |depth: usize| {
            // id, map of one entry, then arrays in arrays.
            let head = [&[0x93, 0xc4, 16][..], &key(ID).unwrap().to_be_bytes()].concat();
            [
                &head[..],
                &[0x81, 0xa1, b'a'],
                &vec![0x91; depth],
                &[0xc0, 0xc0],
            ]
            .concat()
        };
        let read = |depth| record(ID, &nested(depth), DAY, None).map(|record| record.data.size());
        assert!(read(127).is_ok());
        for depth in [128, 250, 251, 10_000, 4_000_000] {
            assert_eq!(read(depth), Err(Unusable::Unreadable), "{depth}");
        }
    }

    /// Every byte of a record changed to every other, and cut anywhere.
    #[test]
    fn no_bytes_panic() {
        let entries = json!({ "user": "ann", "cart": [1, { "": 0.5 }], "none": null });
        let data = written(ID, &entries);
        let pointer = "/user".parse().unwrap();
        let (mut tried, mut unreadable) = (0, 0);
        let mut try_with = |data: &[u8]| {
            tried += 1;
            let read = record(ID, data, DAY, Some(&pointer));
            unreadable += i32::from(read == Err(Unusable::Unreadable));
        };
        for place in 0..data.len() {
            try_with(&data[..place]);
            for byte in 0..=u8::MAX {
                let mut data = data.clone();
                data[place] = byte;
                try_with(&data);
            }
        }
        println!("tried={tried} unreadable={unreadable}");
        assert!(unreadable > tried / 2);
    }

    /// Lengths that promise four gigabytes.
    #[test]
    fn a_length_allocates_nothing() {
        let head = [&[0x93, 0xc4, 16][..], &key(ID).unwrap().to_be_bytes()].concat();
        for promise in [0xc6, 0xdb, 0xdd, 0xdf] {
            let entries = [&head[..], &[promise, 0xff, 0xff, 0xff, 0xff]].concat();
            let value = [
                &head[..],
                &[0x81, 0xa1, b'a', promise, 0xff, 0xff, 0xff, 0xff],
            ]
            .concat();
            for data in [entries, value] {
                let read = record(ID, &data, DAY, None);
                assert_eq!(read.unwrap_err(), Unusable::Unreadable);
            }
        }
    }
}
