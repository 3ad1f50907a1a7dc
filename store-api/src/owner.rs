use std::{fmt, ops::Deref, str::FromStr, sync::Arc};

/// The application's user id, set at sign-in.
///
/// 1 to 256 bytes of UTF-8 without NUL. It lets a user's sessions be listed and ended.
///
/// ```
/// use cloakroom_store_api::Owner;
///
/// let owner: Owner = "user-17".parse()?;
/// assert_eq!(&*owner, "user-17");
/// # Ok::<(), cloakroom_store_api::ParseOwnerError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The longest owner, in bytes.
    pub const LIMIT: usize = 256;
}

impl FromStr for Owner {
    type Err = ParseOwnerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=Self::LIMIT).contains(&text.len()) && !text.contains('\0') {
            Ok(Self(text.into()))
        } else {
            Err(ParseOwnerError)
        }
    }
}

impl Deref for Owner {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text cannot be an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an owner is 1 to 256 bytes without NUL")]
pub struct ParseOwnerError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_1_to_256_bytes_and_no_nul() {
        for right in ["1", "zoë@example.org", &"x".repeat(256)] {
            assert_eq!(&*right.parse::<Owner>().unwrap(), right);
        }
        for wrong in ["", "a\0b", &"x".repeat(257)] {
            assert_eq!(wrong.parse::<Owner>(), Err(ParseOwnerError));
        }
    }
}
