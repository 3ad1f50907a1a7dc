use std::{fmt, str::FromStr};

/// The name of a cookie, without prefix; `id` by default.
///
/// The prefixes `__Host-` and `__Secure-`, by which browsers refuse cookies of that name from
/// elsewhere, are put before it by the layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieName(String);

/// The domain that a cookie is valid for, with all its subdomains.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookieDomain(String);

/// The path under which a cookie is sent; `/` by default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CookiePath(String);

/// The text cannot be that part of a cookie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseCookieError(&'static str);

impl CookieName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for CookieName {
    fn default() -> Self {
        Self("id".to_owned())
    }
}

impl FromStr for CookieName {
    type Err = ParseCookieError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("__host-") || lower.starts_with("__secure-") {
            return Err(ParseCookieError(
                "leave out the prefix of the cookie name, the layer puts the right one before it",
            ));
        }
        // RFC 9110, section 5.6.2: a token.
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(is_token) {
            return Err(ParseCookieError(
                "a cookie name is 1 to 64 letters, digits or !#$%&'*+-.^_`|~",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl CookieDomain {
    /// The domain, without a leading dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CookieDomain {
    type Err = ParseCookieError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A leading dot means nothing (RFC 6265, section 5.2.3).
        let domain = text.strip_prefix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if domain.len() > 253 || !domain.split('.').all(is_label) {
            return Err(ParseCookieError(
                "a cookie domain is a host name such as example.org, in ASCII",
            ));
        }
        Ok(Self(domain))
    }
}

impl CookiePath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_root(&self) -> bool {
        self.0 == "/"
    }
}

impl Default for CookiePath {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for CookiePath {
    type Err = ParseCookieError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b';';
        if !text.starts_with('/') || text.len() > 1024 || !text.bytes().all(is_plain) {
            return Err(ParseCookieError(
                "a cookie path begins with / and has visible ASCII without semicolons",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! display {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

display!(CookieName, CookieDomain, CookiePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token_without_prefix() {
        for right in ["id", "session-id", "a.b_c"] {
            assert_eq!(right.parse::<CookieName>().unwrap().as_str(), right);
        }
        for wrong in [
            "",
            "a b",
            "a=b",
            "a;b",
            "ü",
            "__Host-id",
            "__secure-id",
            "a\r\nb",
        ] {
            assert!(wrong.parse::<CookieName>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_domain_is_a_host_name() {
        assert_eq!(
            ".Example.org".parse::<CookieDomain>().unwrap().as_str(),
            "example.org"
        );
        for wrong in [
            "",
            ".",
            "a..b",
            "a b",
            "a;b",
            "-a.org",
            "exämple.org",
            "a.org\r\nX: y",
        ] {
            assert!(wrong.parse::<CookieDomain>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash() {
        for right in ["/", "/admin", "/a%20b"] {
            assert_eq!(right.parse::<CookiePath>().unwrap().as_str(), right);
        }
        for wrong in ["", "admin", "/a;b", "/a b", "/ü", "/a\r\nX: y"] {
            assert!(wrong.parse::<CookiePath>().is_err(), "{wrong:?}");
        }
    }
}
