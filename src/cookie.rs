//! The session's cookie: what it is called, where it is valid, and how it is written and found.

mod name;

use std::{sync::Arc, time::Duration};

use cookie::Cookie;
use http::HeaderValue;

use crate::store::{Lifetime, Persistence, SessionId, SessionToken, Stamp};

pub use self::name::{CookieDomain, CookieName, CookiePath, ParseCookieError};

/// Which requests from other sites a browser sends the cookie with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// None.
    Strict,
    /// Top-level navigation only: following a link, not posting a form.
    #[default]
    Lax,
    /// All. The application has to protect itself against cross-site request forgery. Over plain
    /// HTTP browsers refuse it, so that [`Lax`](Self::Lax) is sent there.
    None,
}

/// How the cookie is written (M10). Its prefix follows from where it is valid, so that no
/// combination is one which browsers refuse.
#[derive(Clone, Debug)]
pub(crate) struct CookieConfig {
    name: CookieName,
    domain: Option<CookieDomain>,
    path: CookiePath,
    same_site: SameSite,
    partitioned: bool,
    plain_http: bool,
    full_name: Arc<str>,
    probe_name: Arc<str>,
}

/// The longest age that browsers honour (RFC 6265bis, section 5.5).
pub(crate) const MAX_AGE: Duration = Duration::from_hours(400 * 24);

/// How many tokens of one request are looked at (M14).
const CANDIDATES: usize = 4;

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: CookieName::default(),
            domain: None,
            path: CookiePath::default(),
            same_site: SameSite::Lax,
            partitioned: false,
            plain_http: false,
            full_name: Arc::from(""),
            probe_name: Arc::from(""),
        }
        .named()
    }
}

impl CookieConfig {
    pub(crate) fn name(self, name: CookieName) -> Self {
        Self { name, ..self }.named()
    }

    pub(crate) fn domain(self, domain: CookieDomain) -> Self {
        let domain = Some(domain);
        Self { domain, ..self }.named()
    }

    pub(crate) fn path(self, path: CookiePath) -> Self {
        Self { path, ..self }.named()
    }

    pub(crate) fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site, ..self }
    }

    pub(crate) fn partitioned(self) -> Self {
        let partitioned = true;
        Self {
            partitioned,
            ..self
        }
    }

    pub(crate) fn plain_http(self) -> Self {
        let plain_http = true;
        Self { plain_http, ..self }.named()
    }

    /// The name with its prefix.
    pub(crate) fn full_name(&self) -> &str {
        &self.full_name
    }

    /// The tokens that a request with these `Cookie` headers has under our name: the first four
    /// that are well-formed and distinct, each with its id (M14).
    pub(crate) fn candidates<'a>(
        &'a self,
        headers: impl Iterator<Item = &'a HeaderValue> + 'a,
    ) -> impl Iterator<Item = (SessionId, SessionToken)> + 'a {
        let mut taken = [None; CANDIDATES];
        pairs(headers)
            .filter(|(name, _)| *name == self.full_name.as_bytes())
            .filter_map(|(_, value)| SessionToken::parse(value))
            .map(|token| (token.id(), token))
            .filter(move |(id, _)| {
                let mut places = taken.iter_mut();
                let place = places.find(|place| place.is_none_or(|known| known == *id));
                place.is_some_and(|place| place.replace(*id).is_none())
            })
    }

    /// Whether there is a cookie of our name, well-formed or not.
    pub(crate) fn has_session<'a>(&self, headers: impl Iterator<Item = &'a HeaderValue>) -> bool {
        pairs(headers).any(|(name, _)| name == self.full_name.as_bytes())
    }

    /// Whether there is any cookie of ours, the probe included (M18).
    pub(crate) fn has_any<'a>(&self, headers: impl Iterator<Item = &'a HeaderValue>) -> bool {
        let ours = [self.full_name.as_bytes(), self.probe_name.as_bytes()];
        pairs(headers).any(|(name, _)| ours.contains(&name))
    }

    /// The cookie that gives the browser this token.
    pub(crate) fn session(
        &self,
        token: &SessionToken,
        lifetime: Lifetime,
        stamp: Stamp,
    ) -> HeaderValue {
        let mut cookie = self.base(self.full_name().to_owned(), token.expose());
        if lifetime.persistence() == Persistence::Persistent {
            let age = stamp.remaining.min(MAX_AGE);
            let seconds = age.as_secs() + u64::from(age.subsec_nanos() > 0);
            cookie.set_max_age(time::Duration::seconds(seconds.cast_signed()));
        }
        header(&cookie)
    }

    /// The cookie that makes the browser forget the token (M11).
    pub(crate) fn removal(&self) -> HeaderValue {
        let mut cookie = self.base(self.full_name().to_owned(), String::new());
        cookie.make_removal();
        header(&cookie)
    }

    /// The cookie that shows whether the browser keeps cookies (M18).
    pub(crate) fn probe(&self) -> HeaderValue {
        header(&self.base(self.probe_name.to_string(), "1".to_owned()))
    }

    fn base(&self, name: String, value: String) -> Cookie<'static> {
        let same_site = match (self.same_site, self.plain_http) {
            (SameSite::Strict, _) => cookie::SameSite::Strict,
            (SameSite::Lax, _) | (SameSite::None, true) => cookie::SameSite::Lax,
            (SameSite::None, false) => cookie::SameSite::None,
        };
        let mut cookie = Cookie::build((name, value))
            .path(self.path.as_str().to_owned())
            .http_only(true)
            .same_site(same_site)
            .build();
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.as_str().to_owned());
        }
        if !self.plain_http {
            cookie.set_secure(true);
            cookie.set_partitioned(self.partitioned);
        }
        cookie
    }

    fn named(self) -> Self {
        let prefix = if self.plain_http {
            ""
        } else if self.domain.is_none() && self.path.is_root() {
            "__Host-"
        } else {
            "__Secure-"
        };
        let full_name = format!("{prefix}{}", self.name);
        Self {
            probe_name: format!("{full_name}-probe").into(),
            full_name: full_name.into(),
            ..self
        }
    }
}

/// Each cookie's name and value. Those of others may be anything, and do not hide ours.
fn pairs<'a>(
    headers: impl Iterator<Item = &'a HeaderValue>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    headers
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (&pair[..equals], &pair[equals + 1..]);
            Some((name.trim_ascii(), value.trim_ascii()))
        })
}

fn header(cookie: &Cookie<'_>) -> HeaderValue {
    HeaderValue::try_from(cookie.to_string()).expect("names, paths and domains are parsed types")
}

#[cfg(test)]
mod tests;
