use std::{fmt, str::FromStr};

use cloakroom_store_api::SessionId;
use redis::{Cmd, RedisWrite};

/// What all keys of a store begin with; `cloakroom:` by default.
///
/// 1 to 128 visible ASCII characters. Stores of different prefixes share nothing, also where one
/// prefix begins with the other.
///
/// ```
/// use cloakroom_store_redis::Prefix;
///
/// let prefix: Prefix = "shop:sessions:".parse()?;
/// assert_eq!(prefix.as_str(), "shop:sessions:");
/// # Ok::<(), cloakroom_store_redis::ParsePrefixError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// The longest prefix, in bytes.
    pub const LIMIT: usize = 128;

    /// The text of the prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of a session: the prefix and its 32 hexadecimal digits.
    pub(crate) fn record(&self, id: SessionId) -> String {
        format!("{}{id}", self.0)
    }

    /// A `GET` of a session. It allocates no more than it has to hold.
    pub(crate) fn get(&self, id: SessionId) -> Cmd {
        let mut get = Cmd::with_capacity(2, 3 + self.0.len() + ID);
        get.arg("GET");
        get.write_arg_fmt(format_args!("{}{id}", self.0));
        get
    }

    /// The key of an owner's index.
    ///
    /// Its end is no hexadecimal digit, so no prefix makes a session's key of it; and it says
    /// where the owner ends, so two prefixes never have one index.
    pub(crate) fn owner(&self, owner: &str) -> String {
        format!("{}{owner}:{}:owner", self.0, self.0.len())
    }

    /// A glob pattern for the keys of sessions. It may match a few others.
    pub(crate) fn pattern(&self) -> String {
        self.escaped() + &"?".repeat(ID)
    }

    /// A glob pattern for all keys. It matches those of longer prefixes too.
    pub(crate) fn pattern_of_all(&self) -> String {
        self.escaped() + "*"
    }

    fn escaped(&self) -> String {
        let mut pattern = String::new();
        for character in self.0.chars() {
            if r"*?[]^-\".contains(character) {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern
    }

    /// Whether a key is of a session or of an owner's index under this very prefix.
    pub(crate) fn owns(&self, key: &[u8]) -> bool {
        let end = format!(":{}:owner", self.0.len());
        let is_index = key.starts_with(self.0.as_bytes()) && key.ends_with(end.as_bytes());
        is_index || self.id(key).is_some()
    }

    /// The session that a key is of.
    pub(crate) fn id(&self, key: &[u8]) -> Option<SessionId> {
        let id = key.strip_prefix(self.0.as_bytes())?;
        std::str::from_utf8(id).ok()?.parse().ok()
    }
}

/// The length of an id's text.
const ID: usize = 32;

impl Default for Prefix {
    fn default() -> Self {
        Self("cloakroom:".into())
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_right = (1..=Self::LIMIT).contains(&text.len());
        if is_right && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(ParsePrefixError)
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text cannot be a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a prefix is 1 to 128 visible ASCII characters")]
pub struct ParsePrefixError;

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_has_1_to_128_visible_characters() {
        for right in ["a", "shop:{1}:", "*?[", &"x".repeat(128)] {
            assert_eq!(prefix(right).as_str(), right);
        }
        for wrong in ["", "a b", "a\n", "ü", &"x".repeat(129)] {
            assert_eq!(wrong.parse::<Prefix>(), Err(ParsePrefixError), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_belongs_to_one_prefix() {
        let id = SessionId::from_bytes([0xab; 16]);
        let key = prefix("a").record(id);
        assert_eq!(prefix("a").id(key.as_bytes()), Some(id));
        for other in ["aa", "ab", "b"] {
            assert_eq!(prefix(other).id(key.as_bytes()), None);
            assert!(!prefix(other).owns(key.as_bytes()));
        }
        let index = prefix("ab").owner("ann");
        assert!(prefix("a").owns(key.as_bytes()) && prefix("ab").owns(index.as_bytes()));
        assert!(!prefix("a").owns(index.as_bytes()));
        assert_ne!(prefix("a").owner("b:c"), prefix("ab:").owner("c"));
        assert_ne!(prefix("a").owner("bc"), prefix("ab").owner("c"));
        // Whatever the owner, the key of its index ends as no session's key does.
        assert!(prefix("a").owner(&id.to_string()).ends_with("owner"));
    }

    #[test]
    fn a_pattern_takes_the_prefix_literally() {
        assert_eq!(
            prefix(r"a*[\").pattern(),
            format!(r"a\*\[\\{}", "?".repeat(32))
        );
    }
}
