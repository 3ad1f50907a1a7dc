#![cfg_attr(feature = "axum", doc = include_str!("front.md"))]
#![cfg_attr(
    not(feature = "axum"),
    doc = "Web sessions, with the store chosen by a feature or a URL."
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connect;
mod cookie;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod key;
mod layer;
mod observe;
mod random;
mod session;
mod sweeper;

#[cfg(feature = "axum")]
pub use crate::extract::Marked;
#[cfg(feature = "metrics")]
pub use crate::observe::describe_metrics;
pub use crate::{
    connect::{ConnectError, connect},
    cookie::{CookieDomain, CookieName, CookiePath, ParseCookieError, SameSite},
    error::{Error, Result},
    key::{Key, KeyFor},
    layer::{Outage, ResponseFuture, SessionHandle, SessionLayer, SessionService},
    session::{Committed, Session, SessionInfo},
    store::Persistence,
    sweeper::Sweeper,
};

/// What a store is: the trait, the record, ids and lifetimes.
pub use cloakroom_store_api as store;
#[cfg(feature = "memory")]
pub use cloakroom_store_memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use cloakroom_store_postgres::{PostgresStore, TableName};
#[cfg(feature = "redis")]
pub use cloakroom_store_redis::{Prefix, RedisStore};
#[cfg(feature = "sled")]
pub use cloakroom_store_sled::{Durability, SledStore};
