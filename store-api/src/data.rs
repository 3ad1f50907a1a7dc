use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use bincode::error::DecodeError;

use crate::{
    BoxError, Error, Result,
    codec::{CONFIG, check},
};

/// The longest key, in bytes.
pub const KEY_LIMIT: usize = 256;

/// The most entries of a session.
pub const ENTRIES_LIMIT: usize = 1024;

/// The entries of a session: JSON texts by key.
///
/// Entries stay encoded, in one buffer that is shared with the record they were loaded with;
/// each is found when it is asked for. Values are not parsed here: an application may keep a
/// value that another version of it cannot read, and lose nothing else.
///
/// ```
/// use std::collections::BTreeMap;
/// use cloakroom_store_api::Data;
///
/// let data = Data::new(&BTreeMap::from([("cart", "[1,2]"), ("theme", "\"dark\"")]))?;
/// assert_eq!(data.get("theme"), Some("\"dark\""));
/// assert_eq!(data.get("note"), None);
/// # Ok::<(), cloakroom_store_api::Error>(())
/// ```
#[derive(Clone)]
pub struct Data {
    bytes: Arc<[u8]>,
    start: usize,
}

impl Data {
    /// Encodes these entries.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for a key over [`KEY_LIMIT`] or more entries than [`ENTRIES_LIMIT`].
    /// The size of the whole is checked when the record is encoded.
    pub fn new(entries: &BTreeMap<&str, &str>) -> Result<Self> {
        let all = entries.iter().map(|(key, value)| (*key, Some(*value)));
        Self::default().changed(all)
    }

    /// These entries after changes, each of which says what an entry becomes: `None` removes it.
    ///
    /// The changes have to be in the order of their keys, no two of the same. What they leave
    /// alone is copied as it stands.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use cloakroom_store_api::Data;
    ///
    /// let data = Data::new(&BTreeMap::from([("cart", "[1,2]"), ("theme", "\"dark\"")]))?;
    /// let changed = data.changed([("cart", None), ("note", Some("1"))])?;
    /// assert_eq!(changed, Data::new(&BTreeMap::from([("note", "1"), ("theme", "\"dark\"")]))?);
    /// # Ok::<(), cloakroom_store_api::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// If the changes are not in order.
    pub fn changed<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self> {
        // The first byte makes room for the count, which takes no more but in large sessions.
        let (mut count, mut bytes) = (0_usize, Vec::with_capacity(self.size() + 128));
        bytes.push(0);
        let mut before = self.entries().peekable();
        let mut last = None;
        for (key, value) in changes {
            assert!(last.is_none_or(|last| last < key), "keys out of order");
            last = Some(key);
            while let Some(kept) = before.next_if(|entry| entry.key < key.as_bytes()) {
                bytes.extend(kept.encoded);
                count += 1;
            }
            before.next_if(|entry| entry.key == key.as_bytes());
            if let Some(value) = value {
                check("bytes in a session key", key.len(), KEY_LIMIT)?;
                bincode::encode_into_std_write((key, value), &mut bytes, CONFIG)
                    .map_err(Error::backend)?;
                count += 1;
            }
        }
        for kept in before {
            bytes.extend(kept.encoded);
            count += 1;
        }
        check("entries in a session record", count, ENTRIES_LIMIT)?;
        let mut counted = [0; 9];
        let used = bincode::encode_into_slice(count, &mut counted, CONFIG);
        bytes.splice(
            ..1,
            counted[..used.map_err(Error::backend)?].iter().copied(),
        );
        Ok(Self {
            bytes: bytes.into(),
            start: 0,
        })
    }

    /// The JSON text of an entry.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries()
            .take_while(|entry| entry.key <= key.as_bytes())
            .find(|entry| entry.key == key.as_bytes())
            .map(|entry| text(entry.value))
    }

    /// Each key and its JSON text, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries()
            .map(|entry| (text(entry.key), text(entry.value)))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        Walk::new(self.encoded()).map_or(0, |walk| walk.left)
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the entries take in an encoded record.
    #[must_use]
    pub fn size(&self) -> usize {
        self.encoded().len()
    }

    /// Every `Data` was encoded here or has been walked to its end by `decode`.
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        Walk::new(self.encoded())
            .into_iter()
            .flatten()
            .map_while(Result::ok)
    }

    /// What the record's encoding ends with.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the rest of an encoded record, from `start` on, if all of it is entries.
    pub(crate) fn decode(bytes: Arc<[u8]>, start: usize) -> Result<Self, BoxError> {
        let mut walk = Walk::new(&bytes[start..])?;
        if walk.left > ENTRIES_LIMIT {
            return Err(format!("{} entries", walk.left).into());
        }
        let mut last = None;
        for entry in walk.by_ref() {
            let Entry { key, value, .. } = entry?;
            let (key, _) = (str::from_utf8(key)?, str::from_utf8(value)?);
            if key.len() > KEY_LIMIT {
                return Err(format!("a key of {} bytes", key.len()).into());
            }
            if last.is_some_and(|last| last >= key) {
                return Err("keys out of order".into());
            }
            last = Some(key);
        }
        if !walk.rest.is_empty() {
            return Err(format!("{} trailing bytes", walk.rest.len()).into());
        }
        Ok(Self { bytes, start })
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            bytes: Arc::new([0]),
            start: 0,
        }
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        // Keys are in order, so equal entries have equal bytes.
        self.encoded() == other.encoded()
    }
}

impl Eq for Data {}

impl Hash for Data {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encoded().hash(state);
    }
}

impl fmt::Debug for Data {
    /// Shows the keys only: values may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(key, _)| key))
            .finish()
    }
}

/// A key and a value, borrowed from the buffer, and both as they stand there.
struct Entry<'a> {
    key: &'a [u8],
    value: &'a [u8],
    encoded: &'a [u8],
}

/// Reads one entry after the other.
struct Walk<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Walk<'a> {
    fn new(encoded: &'a [u8]) -> Result<Self, DecodeError> {
        let (left, rest) = number(encoded)?;
        Ok(Self { rest, left })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Entry<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let next = counted(self.rest).and_then(|(key, after)| Ok((key, counted(after)?)));
        Some(next.map(|(key, (value, rest))| {
            let (encoded, _) = self.rest.split_at(self.rest.len() - rest.len());
            self.rest = rest;
            Entry {
                key,
                value,
                encoded,
            }
        }))
    }
}

/// As many bytes as the number before them says, and what comes after.
fn counted(bytes: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let (length, rest) = number(bytes)?;
    let missing = length.saturating_sub(rest.len());
    rest.split_at_checked(length)
        .ok_or(DecodeError::UnexpectedEnd {
            additional: missing,
        })
}

/// A number, and what comes after. Most are one byte, which needs none of bincode's checks.
fn number(bytes: &[u8]) -> Result<(usize, &[u8]), DecodeError> {
    /// The bytes from here on say how long a number follows.
    const LONGER: u8 = 251;
    match bytes {
        [number @ ..LONGER, rest @ ..] => Ok((usize::from(*number), rest)),
        _ => {
            let (number, used): (u64, _) = bincode::decode_from_slice(bytes, CONFIG)?;
            let number = number
                .try_into()
                .map_err(|_| DecodeError::OutsideUsizeRange(number))?;
            Ok((number, &bytes[used..]))
        }
    }
}

/// What was encoded from a text, or was seen to be one by `decode`.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_key() {
        let data = Data::new(&BTreeMap::from([("b", "2"), ("a", "1"), ("", "0")])).unwrap();
        assert_eq!(
            data.iter().collect::<Vec<_>>(),
            [("", "0"), ("a", "1"), ("b", "2")]
        );
        assert_eq!(data.get("b"), Some("2"));
        assert_eq!(data.get("ab"), None);
        assert_eq!((data.len(), data.is_empty()), (3, false));
        assert_eq!(format!("{data:?}"), r#"{"", "a", "b"}"#);
    }

    #[test]
    fn changes_are_what_they_are_to_a_map() {
        let keys: Vec<_> = (0..300).map(|n| format!("{n:03}")).collect();
        let value = |seed: usize| "v".repeat(seed % 7 * 60);
        for seed in 0..200_usize {
            let (old, new) = (value(seed), value(seed + 1));
            let is_in = |n: usize, part: usize| (n * 31 + seed * 17) % 5 < part;
            let mut map: BTreeMap<_, _> = (0..seed + 100)
                .filter(|n| is_in(*n, 3))
                .map(|n| (&*keys[n], &*old))
                .collect();
            let data = Data::new(&map).unwrap();
            let changes: Vec<_> = (0..300)
                .filter(|n| n % (seed % 11 + 1) == 0)
                .map(|n| (&*keys[n], is_in(n + 1, 3).then_some(&*new)))
                .collect();
            let changed = data.changed(changes.iter().copied()).unwrap();
            for (key, value) in changes {
                match value {
                    Some(value) => map.insert(key, value),
                    None => map.remove(key),
                };
            }
            let expected = bincode::serde::encode_to_vec(&map, CONFIG).unwrap();
            assert_eq!(changed.encoded(), expected, "{seed}");
        }
    }

    #[test]
    #[should_panic(expected = "out of order")]
    fn changes_out_of_order_are_a_mistake() {
        let _ = Data::default().changed([("b", None), ("a", None)]);
    }

    #[test]
    fn no_data_is_no_entries() {
        assert_eq!(Data::default(), Data::new(&BTreeMap::new()).unwrap());
        assert!(Data::default().is_empty());
    }

    #[test]
    fn keys_and_entries_have_limits() {
        let names: Vec<_> = (0..=ENTRIES_LIMIT).map(|n| format!("{n:04}")).collect();
        let most = |n: usize| names[..n].iter().map(|name| (&**name, "1")).collect();
        assert_eq!(
            Data::new(&most(ENTRIES_LIMIT)).unwrap().len(),
            ENTRIES_LIMIT
        );
        assert!(matches!(
            Data::new(&most(ENTRIES_LIMIT + 1)),
            Err(Error::TooLarge { size: 1025, .. })
        ));
        let long = "k".repeat(KEY_LIMIT + 1);
        assert!(Data::new(&BTreeMap::from([(&long[1..], "1")])).is_ok());
        assert!(Data::new(&BTreeMap::from([(&*long, "1")])).is_err());
    }
}
