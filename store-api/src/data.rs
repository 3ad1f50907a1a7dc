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
        check("entries in a session record", entries.len(), ENTRIES_LIMIT)?;
        for key in entries.keys() {
            check("bytes in a session key", key.len(), KEY_LIMIT)?;
        }
        let bytes = bincode::serde::encode_to_vec(entries, CONFIG).map_err(Error::backend)?;
        Ok(Self {
            bytes: bytes.into(),
            start: 0,
        })
    }

    /// The JSON text of an entry.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .take_while(|(found, _)| *found <= key)
            .find_map(|(found, value)| (found == key).then_some(value))
    }

    /// Each key and its JSON text, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        // Every `Data` was encoded here or has been walked to its end by `decode`.
        Walk::new(self.encoded())
            .into_iter()
            .flatten()
            .map_while(Result::ok)
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
            let (key, _) = entry?;
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

/// Reads one entry after the other, borrowing each from the buffer.
struct Walk<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Walk<'a> {
    fn new(encoded: &'a [u8]) -> Result<Self, DecodeError> {
        let (left, used) = bincode::borrow_decode_from_slice(encoded, CONFIG)?;
        Ok(Self {
            rest: &encoded[used..],
            left,
        })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<(&'a str, &'a str), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(
            bincode::borrow_decode_from_slice(self.rest, CONFIG).map(|(entry, used)| {
                self.rest = &self.rest[used..];
                entry
            }),
        )
    }
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
