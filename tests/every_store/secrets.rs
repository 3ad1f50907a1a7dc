//! Nobody but the browser learns a token: not who reads the log at its most talkative, not who
//! copies the database.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::{Arc, Mutex},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use cloakroom::{
    SessionLayer,
    store::{SessionStore, SessionToken},
};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    Nodes,
    dump::Place,
    each_store,
    http::{Browser, COOKIE, Server},
};

each_store!(no_token_is_written_anywhere: memory, sled, postgres, redis);

/// S5, M17: all that the log, the stores and `Debug` show, searched for all tokens of some visits.
async fn no_token_is_written_anywhere(nodes: Nodes) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    // The runtime of this test has one thread, so that everything but a store's own is in the log.
    let guard = tracing::subscriber::set_default(subscriber);
    let layer = SessionLayer::new(Arc::clone(&nodes.stores[0]));
    let shown = format!("{layer:?}{:?}", nodes.stores);
    let server = Server::with(layer).await;
    let user = format!("user-{}", SessionToken::generate().unwrap().id());
    let note = format!("umbrella-of-{user}");
    let mut tokens = Vec::new();
    let mut browsers = [server.browser(), server.browser()];
    for browser in &mut browsers {
        for path in [
            &format!("/set/note/{note}"),
            &format!("/sign-in/{user}"),
            "/remember/true",
            "/count/clicks",
            "/rotate",
        ] {
            browser.post(path).await;
            tokens.push(browser.token().to_owned());
        }
        browser.get("/whoami").await;
    }
    misused(&server, &mut tokens).await;
    let [mut here, mut there] = browsers;
    let [listed, before] = dumped(&nodes, &user).await;
    here.post("/end-others").await;
    there.get("/whoami").await;
    here.post("/end").await;
    let after = dumped(&nodes, &user).await.concat();
    drop(guard);

    tokens.sort();
    tokens.dedup();
    let log = log.0.lock().unwrap().clone();
    let id = SessionToken::parse(&tokens[0]).unwrap().id().to_string();
    assert!(found(&log, id.as_bytes()), "the log says nothing");
    let copied = match nodes.place {
        Place::Process => &listed, // It has no database to copy.
        _ => &before,
    };
    assert!(found(copied, note.as_bytes()), "the dump shows nothing");
    let shown = shown.into_bytes();
    let places = [&log, &listed, &before, &after, &shown];
    let bytes: usize = places.iter().map(|place| place.len()).sum();
    let (mut needles, mut seen) = (0, Vec::new());
    for token in &tokens {
        for needle in spellings(token) {
            needles += 1;
            if places.iter().any(|place| found(place, &needle)) {
                seen.push(String::from_utf8_lossy(&needle).into_owned());
            }
        }
    }
    println!(
        "tokens={} spellings={needles} bytes={bytes} found={}",
        tokens.len(),
        seen.len()
    );
    assert_eq!(seen, [""; 0]);
}

/// What the store shows of a user's sessions, and all that a copy of its database has.
async fn dumped(nodes: &Nodes, user: &str) -> [Vec<u8>; 2] {
    let records = nodes.stores[0].list(user).await.unwrap();
    let entries = records.iter().map(|record| {
        let entries: Vec<_> = record.data.iter().collect();
        format!("{record:?}{entries:?}")
    });
    let shown: String = entries.collect();
    [shown.into_bytes(), nodes.place.dump().await]
}

/// Tokens that are no longer, not yet or never good.
async fn misused(server: &Server, tokens: &mut Vec<String>) {
    let mut ended = server.browser();
    ended.post("/set/note/gone").await;
    let token = ended.token().to_owned();
    ended.clone().post("/end").await;
    let chosen = SessionToken::generate().unwrap().expose();
    for token in [&token, &chosen] {
        let mut browser: Browser = server.browser();
        browser.cookies.insert(COOKIE.into(), token.clone());
        browser.get("/get/note").await;
        browser.post("/set/note/again").await;
        tokens.push(browser.token().to_owned());
        let twice = format!("Cookie: {COOKIE}={token}x; {COOKIE}={token}; {COOKIE}={token}\r\n");
        server.browser().raw("GET", "/whoami", &twice).await;
    }
    tokens.extend([token, chosen]);
}

/// The ways to write a token, and what would be left of it where only a part is shown.
fn spellings(token: &str) -> Vec<Vec<u8>> {
    let raw = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let percent = token.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    });
    let [raw_hex, text_hex] = [hex(&raw), hex(token.as_bytes())];
    let decimal = format!("{raw:?}");
    let texts = [
        token[..16].to_owned(),
        token[27..].to_owned(),
        BASE64_STANDARD_NO_PAD.encode(&raw)[..16].to_owned(),
        BASE64_STANDARD.encode(token)[..20].to_owned(),
        raw_hex[..32].to_uppercase(),
        raw_hex[..32].to_owned(),
        raw_hex[32..].to_owned(),
        text_hex.to_uppercase(),
        text_hex,
        percent,
        decimal[1..40].to_owned(),
    ];
    let texts = texts.into_iter().map(String::into_bytes);
    texts
        .chain([raw[..16].to_vec(), raw[16..].to_vec()])
        .collect()
}

fn found(place: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(place, needle).is_some()
}

#[test]
fn a_token_in_any_spelling_would_be_found() {
    let token = SessionToken::generate().unwrap().expose();
    let raw = BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap();
    let planted = [
        token.clone().into_bytes(),
        raw.clone(),
        BASE64_STANDARD.encode(&raw).into_bytes(),
        BASE64_STANDARD.encode(&token).into_bytes(),
        format!("{raw:?}").into_bytes(),
        format!("{raw:02x?}").replace(", ", "").into_bytes(),
        format!("{raw:02X?}").replace(", ", "").into_bytes(),
        format!("{:02x?}", token.as_bytes())
            .replace(", ", "")
            .into_bytes(),
    ];
    for place in planted {
        let place = [b"before ", &place[..], b" after"].concat();
        let is_found = spellings(&token).iter().any(|needle| found(&place, needle));
        assert!(is_found, "{}", String::from_utf8_lossy(&place));
    }
    let other = SessionToken::generate().unwrap().expose();
    let other = other.as_bytes();
    assert!(!spellings(&token).iter().any(|needle| found(other, needle)));
}

/// All that is logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
