use std::error::Error;

use cloakroom_store_postgres::PostgresStore;
use cloakroom_store_redis::RedisStore;

use crate::requests::runtime;

/// A URL is read, or refused with an error that shows nothing of it. Nothing is connected to.
pub fn urls(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    // A password as nobody's error message has it by chance.
    let url = text.replace("SECRET", SECRET);
    // The pool of connections wants a runtime, and is given none to run on.
    let runtime = runtime();
    let _inside = runtime.enter();
    hides(&format!("{:?}", PostgresStore::builder(&url)));
    hides(&format!("{:?}", RedisStore::builder(&url)));
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    if scheme.is_none_or(|scheme| !KNOWN.contains(&scheme)) {
        let refused = runtime.block_on(cloakroom::connect(&url));
        let error = refused.expect_err("there is no such store");
        hides(&format!("{error:?} {error}"));
        assert!(error.source().is_none());
    }
}

fn hides(shown: &str) {
    assert!(!shown.contains(SECRET), "{shown}");
}

const SECRET: &str = "8bd1e7c0a5";

/// Schemes that something could be opened with.
const KNOWN: [&str; 10] = [
    "memory",
    "sled",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "unix",
    "redis+unix",
    "redis+sentinel",
    "redis+cluster",
];
