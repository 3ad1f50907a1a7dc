use cloakroom::{
    MemoryStore, SessionLayer,
    store::{SessionStore, SessionToken},
};
use http::HeaderValue;

use crate::requests::{Pending, runtime, token};

/// Whatever the `Cookie` headers say, the session is the live one exactly if its token is among
/// the first four well-formed and distinct ones of our name, and none is created by reading.
///
/// The input is split into headers at NUL bytes; `T` in it stands for the live token, `U` for one
/// that nobody has.
pub fn cookies(input: &[u8]) {
    runtime().block_on(async {
        let store = MemoryStore::new();
        let layer = SessionLayer::new(store.clone());
        let first = Pending::begin(&layer, Vec::new()).await;
        first.session.insert("key", &1).expect("it is small");
        let live = token(&first.end().await).expect("a new session has a cookie");
        let unknown = SessionToken::generate().expect("there are random numbers");
        let headers: Vec<_> = input
            .split(|byte| *byte == 0)
            .filter_map(|header| {
                let header = replaced(header, &live, &unknown.expose());
                HeaderValue::from_bytes(&header).ok()
            })
            .collect();
        let is_among = first_four(&headers).contains(&live);
        let request = Pending::begin(&layer, headers).await;
        assert_eq!(
            request.session.get("key").expect("it is a number"),
            is_among.then_some(1)
        );
        assert_eq!(request.session.is_new(), !is_among);
        request.end().await;
        let stats = store.stats().await.expect("memory does not fail");
        assert_eq!(stats.browser, 1);
    });
}

fn replaced(header: &[u8], live: &str, unknown: &str) -> Vec<u8> {
    let bytes = header.iter().flat_map(|byte| match byte {
        b'T' => live.as_bytes().to_vec(),
        b'U' => unknown.as_bytes().to_vec(),
        other => vec![*other],
    });
    bytes.collect()
}

/// Written apart from what it checks: names and values by RFC 6265, section 5.4.
fn first_four(headers: &[HeaderValue]) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for header in headers {
        for pair in String::from_utf8_lossy(header.as_bytes()).split(';') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let value = value.trim_ascii();
            let is_token = SessionToken::parse(value).is_some();
            if name.trim_ascii() == "__Host-id"
                && is_token
                && !tokens.iter().any(|known| known == value)
            {
                tokens.push(value.to_owned());
            }
        }
    }
    tokens.truncate(4);
    tokens
}
