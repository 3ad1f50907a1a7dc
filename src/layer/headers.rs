use std::mem;

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, Entry, GetAll, SET_COOKIE, VARY},
};

use crate::{
    Error,
    layer::Config,
    session::{CookieDue, State},
};

/// What the session makes of the response head (M10–M13, M15, M18).
#[derive(Debug, Default)]
pub(crate) struct Additions {
    doomed: bool,
    session: Option<HeaderValue>,
    probe: Option<HeaderValue>,
    vary: bool,
    no_store: bool,
}

impl Additions {
    pub(crate) fn of(state: &State, config: &Config) -> Self {
        let session = match (state.cookie, &state.record, &state.token) {
            (CookieDue::Session, Some(record), Some(token)) => {
                let stamp = record.stamp;
                stamp.map(|stamp| config.cookie.session(token, record.lifetime, stamp))
            }
            (CookieDue::Removal, ..) => Some(config.cookie.removal()),
            _ => None,
        };
        let probe = state.probe.then(|| config.cookie.probe());
        Self {
            doomed: state.doomed,
            vary: state.looked,
            no_store: session.is_some()
                || probe.is_some()
                || (config.no_store_when_read && state.looked),
            session,
            probe,
        }
    }

    pub(crate) fn add_to<B: Default>(self, response: &mut Response<B>, config: &Config) {
        if self.doomed {
            replace(response, Error::degraded().status());
        }
        if self.session.is_some() {
            remove_cookie(response.headers_mut(), config.cookie.full_name());
        }
        for cookie in [self.session, self.probe].into_iter().flatten() {
            let ours = response
                .extensions_mut()
                .get_or_insert_default::<OurCookies>();
            ours.0.push(cookie.clone());
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        let headers = response.headers_mut();
        if self.vary {
            vary_on_cookie(headers);
        }
        if self.no_store && !says(&headers.get_all(CACHE_CONTROL), "no-store") {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }
}

/// The cookies that layers of ours have set on a response, so that who replaces it keeps them.
#[derive(Clone, Default)]
struct OurCookies(Vec<HeaderValue>);

/// An empty response in place of another, with what layers inside this one have set (M7, M19).
pub(crate) fn replace<B: Default>(response: &mut Response<B>, status: StatusCode) {
    let mut before = mem::take(response);
    *response.status_mut() = status;
    if let Some(ours) = before.extensions_mut().remove::<OurCookies>() {
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(CACHE_CONTROL, no_store);
        for cookie in &ours.0 {
            response.headers_mut().append(SET_COOKIE, cookie.clone());
        }
        response.extensions_mut().insert(ours);
    }
}

/// A cookie of our name that the handler has set itself makes way for ours (M12).
fn remove_cookie(headers: &mut HeaderMap, name: &str) {
    let is_ours = |header: &HeaderValue| {
        let pair = header
            .as_bytes()
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        let found = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        found.trim_ascii() == name.as_bytes()
    };
    if headers.get_all(SET_COOKIE).iter().any(is_ours) {
        let others: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for header in others.into_iter().filter(|header| !is_ours(header)) {
            headers.append(SET_COOKIE, header);
        }
    }
}

/// Adds `Cookie` to `Vary`, unless it is there or covered by `*` (M13).
fn vary_on_cookie(headers: &mut HeaderMap) {
    if let Entry::Vacant(place) = headers.entry(VARY) {
        place.insert(HeaderValue::from_static("Cookie"));
        return;
    }
    if says(&headers.get_all(VARY), "cookie") || says(&headers.get_all(VARY), "*") {
        return;
    }
    let before: Vec<_> = headers
        .get_all(VARY)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let merged = [&before[..], &[b"Cookie"]].concat().join(&b", "[..]);
    let merged = HeaderValue::from_bytes(&merged).expect("header values joined by commas");
    headers.insert(VARY, merged);
}

/// Whether a comma-separated header has this member.
fn says(values: &GetAll<'_, HeaderValue>, member: &str) -> bool {
    values
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|found| found.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn vary_is_merged() {
        for (before, after) in [
            (&[][..], "Cookie"),
            (&[("vary", "Accept-Encoding")], "Accept-Encoding, Cookie"),
            (
                &[("vary", "Accept"), ("vary", "Origin")],
                "Accept, Origin, Cookie",
            ),
            (&[("vary", "*")], "*"),
            (&[("vary", "accept, COOKIE")], "accept, COOKIE"),
        ] {
            let mut headers = headers(before);
            vary_on_cookie(&mut headers);
            let found: Vec<_> = headers.get_all(VARY).iter().collect();
            assert_eq!(found, [after]);
        }
    }

    #[test]
    fn only_a_cookie_of_our_name_makes_way() {
        let mut headers = headers(&[
            ("set-cookie", "a=1"),
            ("set-cookie", "id=x; Path=/"),
            ("set-cookie", "id2=y"),
            ("set-cookie", " id =z"),
        ]);
        remove_cookie(&mut headers, "id");
        let found: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(found, ["a=1", "id2=y"]);
    }
}
