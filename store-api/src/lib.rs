#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod data;
mod error;
mod held;
mod id;
mod lifetime;
mod owner;
mod record;
mod store;
mod timestamp;

pub use crate::{
    clock::{Clock, ManualClock, StoreClock, SystemClock},
    data::{Data, ENTRIES_LIMIT, KEY_LIMIT},
    error::{BoxError, Error, Result},
    held::{Held, Verdict},
    id::{ParseSessionIdError, SessionId, SessionToken},
    lifetime::{Lifetime, Persistence},
    owner::{Owner, ParseOwnerError},
    record::{RECORD_LIMIT, Record, Stamp},
    store::{Age, Saved, SessionStore, Stats, Swept},
    timestamp::Timestamp,
};

/// Re-exported for implementations of [`SessionStore`].
pub use async_trait::async_trait;
