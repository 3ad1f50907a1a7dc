use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The secret that the browser holds: 256 random bits.
///
/// In the cookie it is 43 characters of unpadded base64url. No store, log line or listing ever
/// sees it, only its [`id`](Self::id). 256 bits are four times what OWASP's Session Management
/// Cheat Sheet asks for.
#[derive(Clone)]
pub struct SessionToken([u8; 32]);

impl SessionToken {
    /// Draws a new token from the operating system.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if the operating system has no random numbers to give.
    pub fn generate() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(Error::unavailable)?;
        Ok(Self(bytes))
    }

    /// Reads the text of a cookie; `None` if it is not exactly what [`expose`](Self::expose)
    /// gives for some token.
    #[must_use]
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let text: &[u8; 43] = text.as_ref().try_into().ok()?;
        let mut bytes = [0; 32];
        // The engine accepts no padding, no other alphabet and no stray bits in the last character.
        match BASE64_URL_SAFE_NO_PAD.decode_slice_unchecked(text, &mut bytes) {
            Ok(32) => Some(Self(bytes)),
            _ => None,
        }
    }

    /// The 43 characters for the cookie. Whoever reads them holds the session.
    #[must_use]
    pub fn expose(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The name under which stores keep the session of this token.
    ///
    /// It is the first 16 bytes of SHA-256(`"cloakroom session id v1"` ‖ token): who reads the
    /// database cannot get from an id to a token.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId::of_secret("cloakroom session id v1", &self.0)
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken")
    }
}

/// The name of a session: all that a store, a log line or a listing sees of it.
///
/// Shown and parsed as 32 hexadecimal digits. It is no secret, since no cookie can be built
/// from it; see [`SessionToken::id`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The name under which stores keep the session of another framework's secret, such as its
    /// session key.
    ///
    /// It is the first 16 bytes of SHA-256(`domain` ‖ `secret`), so that the secret itself never
    /// reaches a store. The domain is a text that nobody else hashes with: equal secrets of two
    /// frameworks are then two sessions. The secret has to be hard to guess, 128 random bits or
    /// more; to hash a user's name here hides nothing.
    ///
    /// ```
    /// use cloakroom_store_api::SessionId;
    ///
    /// let secret = 0x5eed_u128.to_be_bytes(); // as long, but random
    /// let id = SessionId::of_secret("example.org session id v1", &secret);
    /// assert_ne!(id, SessionId::of_secret("example.org admin id v1", &secret));
    /// ```
    #[must_use]
    pub fn of_secret(domain: &'static str, secret: &[u8]) -> Self {
        let digest = Sha256::new_with_prefix(domain)
            .chain_update(secret)
            .finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// The id with these bytes, for a store that reads back what it kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The keys of stores are made of this: far quicker than formatting a number.
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)]));
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = ParseSessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseSessionIdError);
        }
        u128::from_str_radix(text, 16)
            .map(|id| Self(id.to_be_bytes()))
            .map_err(|_| ParseSessionIdError)
    }
}

/// The text is no session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 32 hexadecimal digits")]
pub struct ParseSessionIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_cookie() {
        let token = SessionToken::generate().unwrap();
        let text = token.expose();
        assert_eq!(text.len(), 43);
        assert_eq!(SessionToken::parse(&text).unwrap().id(), token.id());
    }

    #[test]
    fn only_canonical_text_is_a_token() {
        let text = SessionToken([0xff; 32]).expose();
        assert_eq!(text, "__________________________________________8");
        for wrong in [
            "",
            &text[..42],
            &format!("{text}A"),
            &format!("{text}="),
            &text.replace('8', "9"), // a stray bit in the last character
            &text.replace('_', "/"),
            &text.replace('8', " "),
            "é__________________________________________8",
            "_________________________________________é8",
        ] {
            assert!(SessionToken::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    /// The derivation is part of what a store keeps: changing it signs everybody out.
    #[test]
    fn the_id_of_a_token_never_changes() {
        assert_eq!(
            SessionToken([7; 32]).id().to_string(),
            "3ac192aa7396105460d23820001e8b79"
        );
    }

    #[test]
    fn a_token_says_nothing_of_itself() {
        let token = SessionToken([7; 32]);
        assert_eq!(format!("{token:?}"), "SessionToken");
    }

    #[test]
    fn an_id_is_shown_and_parsed_as_hexadecimal() {
        let id = SessionId::from_bytes([0x0a; 16]);
        assert_eq!(id.to_string(), "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "",
            "0a",
            "+a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
            &id.to_string()[1..],
        ] {
            assert_eq!(wrong.parse::<SessionId>(), Err(ParseSessionIdError));
        }
    }
}
