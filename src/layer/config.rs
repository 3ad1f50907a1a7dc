use std::sync::Arc;

use crate::{
    cookie::CookieConfig,
    store::{Lifetime, Persistence, SessionStore},
};

/// What a layer was told.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) cookie: CookieConfig,
    pub(crate) browser: Lifetime,
    pub(crate) persistent: Lifetime,
    pub(crate) default_persistence: Persistence,
    pub(crate) record_limit: usize,
    pub(crate) outage: Outage,
    pub(crate) no_store_when_read: bool,
}

/// What a request gets whose session cannot be loaded because the store fails.
///
/// Either way no session is taken for signed out, and none is overwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outage {
    /// The extractor's rejection: a `503`, or a `500` if trying later will not help.
    #[default]
    Refuse,
    /// An empty session that says so by [`is_degraded`](crate::Session::is_degraded) and
    /// refuses to be changed. For pages that visitors can read without one.
    Degrade,
}

const RECORD_LIMIT: usize = 64 * 1024;

impl Config {
    pub(crate) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            store,
            cookie: CookieConfig::default(),
            browser: Lifetime::BROWSER,
            persistent: Lifetime::PERSISTENT,
            default_persistence: Persistence::default(),
            record_limit: RECORD_LIMIT,
            outage: Outage::default(),
            no_store_when_read: false,
        }
    }

    pub(crate) fn lifetime(&self, persistence: Persistence) -> Lifetime {
        match persistence {
            Persistence::Browser => self.browser,
            Persistence::Persistent => self.persistent,
        }
    }
}
