use cloakroom::{CookieDomain, CookieName, CookiePath, MemoryStore, SessionLayer};
use cloakroom_store_api::{Owner, SessionId, SessionToken};
use cloakroom_store_postgres::TableName;
use cloakroom_store_redis::Prefix;
use cookie::Cookie;
use http::header;

use crate::requests::{Pending, runtime};

/// What parses as an identifier is one: it reads back as itself, and cannot get out of the place
/// where it is written.
pub fn names(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    token(text);
    id(text);
    let is_owner = (1..=256).contains(&text.len()) && !text.contains('\0');
    assert_eq!(text.parse::<Owner>().is_ok(), is_owner);
    table(text);
    if let Ok(prefix) = text.parse::<Prefix>() {
        assert_eq!(prefix.to_string(), text);
    }
    cookie(text);
}

fn token(text: &str) {
    if let Some(token) = SessionToken::parse(text) {
        assert_eq!(token.expose(), text);
        assert!(!format!("{token:?}{:?}{}", token.id(), token.id()).contains(text));
    }
}

fn id(text: &str) {
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.parse::<SessionId>() {
        Ok(id) => assert_eq!(id.to_string(), text.to_ascii_lowercase()),
        Err(_) => assert!(!is_id, "{text}"),
    }
}

/// As PostgreSQL reads a quoted name: up to the first quote that is not doubled.
fn table(text: &str) {
    let Ok(table) = text.parse::<TableName>() else {
        return;
    };
    let quoted = table.to_string();
    let mut rest = quoted.as_str();
    let mut parts = Vec::new();
    loop {
        rest = rest.strip_prefix('"').expect("a part is quoted");
        let mut part = String::new();
        loop {
            let (before, after) = rest.split_once('"').expect("a part ends");
            part.push_str(before);
            rest = after;
            match rest.strip_prefix('"') {
                Some(after) => {
                    part.push('"');
                    rest = after;
                }
                None => break,
            }
        }
        assert!((1..=63).contains(&part.len()));
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None => break,
        }
    }
    assert_eq!(rest, "", "nothing follows the name");
    assert_eq!(parts.join("."), text);
}

/// The cookie that is written with these parts says just that to whoever reads it.
fn cookie(text: &str) {
    let (name, domain, path) = (
        text.parse::<CookieName>().ok(),
        text.parse::<CookieDomain>().ok(),
        text.parse::<CookiePath>().ok(),
    );
    if name.is_none() && domain.is_none() && path.is_none() {
        return;
    }
    let mut layer = SessionLayer::new(MemoryStore::new());
    if let Some(name) = &name {
        layer = layer.cookie_name(name.clone());
    }
    if let Some(domain) = &domain {
        layer = layer.domain(domain.clone());
    }
    if let Some(path) = &path {
        layer = layer.path(path.clone());
    }
    runtime().block_on(async {
        let request = Pending::begin(&layer, Vec::new()).await;
        request.session.insert("key", &1).expect("it is small");
        let response = request.end().await;
        let mut cookies = response.headers().get_all(header::SET_COOKIE).iter();
        let cookie = cookies.next().expect("a new session has a cookie");
        assert_eq!(cookies.next(), None);
        let cookie = Cookie::parse(cookie.to_str().expect("it is ASCII")).expect("it is one");
        let name = name.map_or_else(|| "id".to_owned(), |name| name.to_string());
        let prefixes = ["__Host-", "__Secure-"];
        let bare = prefixes
            .iter()
            .find_map(|prefix| cookie.name().strip_prefix(prefix));
        assert_eq!(bare, Some(&*name));
        assert_eq!(cookie.domain(), domain.as_ref().map(CookieDomain::as_str));
        assert_eq!(
            cookie.path(),
            path.as_ref().map_or(Some("/"), |path| Some(path.as_str()))
        );
        assert!(SessionToken::parse(cookie.value()).is_some());
    });
}
