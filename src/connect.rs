use std::sync::Arc;

use crate::store::{self, SessionStore};

/// Opens the store that a URL names.
///
/// | URL | store | feature |
/// | --- | --- | --- |
/// | `memory:` | this process's memory | `memory` |
/// | `sled:PATH` | a folder, made if it is not there | `sled` |
/// | `postgres://USER:PASSWORD@HOST/DATABASE` | PostgreSQL; its table is made by `PostgresStore::migrate` | `postgres` |
/// | `redis://USER:PASSWORD@HOST:PORT/DATABASE` | Redis | `redis` |
/// | `rediss://…` | Redis over TLS | `redis` |
/// | `unix:///PATH`, `redis+unix:///PATH` | Redis by its socket | `redis` |
/// | `redis+sentinel://HOST:PORT,HOST:PORT/MASTER` | the Redis that these Sentinels call master | `redis` |
/// | `redis+cluster://HOST:PORT,HOST:PORT` | a Redis cluster, by some of its nodes | `redis` |
///
/// Each store also has constructors of its own, with more settings.
///
/// # Errors
///
/// [`ConnectError`]. A password in the URL appears in none of them.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cloakroom::ConnectError> {
/// let store = cloakroom::connect("memory:").await?;
/// let layer = cloakroom::SessionLayer::new(store);
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    let (scheme, rest) = url.split_once(':').ok_or(ConnectError::NoScheme)?;
    match scheme {
        "memory" => memory(rest),
        "sled" => sled(rest).await,
        "postgres" | "postgresql" => postgres(url).await,
        "redis" | "rediss" | "unix" | "redis+unix" | "redis+sentinel" | "redis+cluster" => {
            redis(url).await
        }
        // Not the scheme as it is: who leaves it out may have begun with a password.
        _ => Err(ConnectError::UnknownScheme),
    }
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text has no scheme.
    #[error(
        "a store URL begins with its scheme, as memory:, sled:PATH, postgres://HOST/DATABASE or redis://HOST"
    )]
    NoScheme,

    /// No store has this scheme.
    #[error(
        "unknown store scheme, use memory:, sled:PATH, postgres://HOST/DATABASE or redis://HOST"
    )]
    UnknownScheme,

    /// There is such a store, but this program was built without it.
    #[error(
        "this program is built without {scheme}: stores, enable the feature {feature:?} of cloakroom"
    )]
    FeatureOff {
        /// The scheme of the URL.
        scheme: &'static str,
        /// The feature of the package `cloakroom`.
        feature: &'static str,
    },

    /// The rest of the URL is not as it has to be.
    #[error("bad store URL: {0}")]
    BadUrl(&'static str),

    /// The store itself said no.
    #[error("session store cannot be opened")]
    Store(#[source] store::Error),
}

#[cfg(feature = "memory")]
fn memory(rest: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    if !rest.is_empty() {
        return Err(ConnectError::BadUrl("nothing follows memory:"));
    }
    Ok(Arc::new(crate::MemoryStore::new()))
}

#[cfg(not(feature = "memory"))]
fn memory(_: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    Err(off("memory"))
}

#[cfg(feature = "sled")]
async fn sled(path: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    if path.is_empty() {
        return Err(ConnectError::BadUrl("a path follows sled:"));
    }
    let path = std::path::PathBuf::from(path);
    let opened = tokio::task::spawn_blocking(move || crate::SledStore::open(path)).await;
    let opened = opened.unwrap_or_else(|panicked| Err(store::Error::backend(panicked)));
    Ok(Arc::new(opened.map_err(ConnectError::Store)?))
}

#[cfg(not(feature = "sled"))]
async fn sled(_: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    Err(off("sled"))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    let connected = crate::PostgresStore::connect(url).await;
    Ok(Arc::new(connected.map_err(ConnectError::Store)?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    Err(off("postgres"))
}

#[cfg(feature = "redis")]
async fn redis(url: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    let connected = crate::RedisStore::connect(url).await;
    Ok(Arc::new(connected.map_err(ConnectError::Store)?))
}

#[cfg(not(feature = "redis"))]
async fn redis(_: &str) -> Result<Arc<dyn SessionStore>, ConnectError> {
    Err(off("redis"))
}

#[cfg(not(all(
    feature = "memory",
    feature = "sled",
    feature = "postgres",
    feature = "redis"
)))]
fn off(store: &'static str) -> ConnectError {
    ConnectError::FeatureOff {
        scheme: store,
        feature: store,
    }
}
