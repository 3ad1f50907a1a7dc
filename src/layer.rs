//! The middleware around the application.

mod config;
mod future;
mod handle;
mod headers;
mod service;

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use tower_layer::Layer;

use crate::{
    cookie::{CookieConfig, CookieDomain, CookieName, CookiePath, MAX_AGE, SameSite},
    store::{Lifetime, Persistence, RECORD_LIMIT, SessionStore},
};

pub(crate) use self::config::Config;
pub use self::{
    config::Outage, future::ResponseFuture, handle::SessionHandle, service::SessionService,
};

/// Gives every request a session.
///
/// A request that never asks for its session costs no store call, and its response gets neither
/// a cookie nor a `Vary`. Put layers that catch panics or time requests out *inside* this one:
/// what they make of a request is then a response that passes through here, and keeps its cookie.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use cloakroom::{MemoryStore, SessionLayer};
///
/// let layer = SessionLayer::new(MemoryStore::new())
///     .browser_idle(Duration::from_secs(15 * 60))
///     .cookie_age(Duration::from_secs(7 * 24 * 60 * 60));
/// # let _: SessionLayer = layer;
/// ```
pub struct SessionLayer<M = ()> {
    config: Arc<Config>,
    marker: PhantomData<fn() -> M>,
}

impl SessionLayer {
    /// Sessions in this store, with a cookie `__Host-id` that is `Secure`, `HttpOnly` and
    /// `SameSite=Lax`.
    #[must_use]
    pub fn new(store: impl SessionStore) -> Self {
        Self {
            config: Arc::new(Config::new(Arc::new(store))),
            marker: PhantomData,
        }
    }
}

/// How long sessions live.
impl<M> SessionLayer<M> {
    /// A browser-length session ends when it was not used for this long. 30 minutes by default.
    #[must_use]
    pub fn browser_idle(self, idle: Duration) -> Self {
        self.set(|config| {
            let absolute = config.browser.absolute();
            config.browser = Lifetime::new(Persistence::Browser, idle, absolute);
        })
    }

    /// A browser-length session ends at this age. 12 hours by default.
    #[must_use]
    pub fn browser_absolute(self, absolute: Duration) -> Self {
        self.set(|config| {
            let idle = config.browser.idle();
            config.browser = Lifetime::new(Persistence::Browser, idle, absolute);
        })
    }

    /// A persistent session ends when it was not used for this long, and so does its cookie.
    /// 14 days by default, and at most 400 days, the longest that browsers keep a cookie.
    #[must_use]
    pub fn cookie_age(self, idle: Duration) -> Self {
        self.set(|config| {
            let absolute = config.persistent.absolute();
            let idle = idle.min(MAX_AGE);
            config.persistent = Lifetime::new(Persistence::Persistent, idle, absolute);
        })
    }

    /// A persistent session ends at this age. 90 days by default.
    #[must_use]
    pub fn persistent_absolute(self, absolute: Duration) -> Self {
        self.set(|config| {
            let idle = config.persistent.idle();
            config.persistent = Lifetime::new(Persistence::Persistent, idle, absolute);
        })
    }

    /// What a session is that nobody called [`remember`](crate::Session::remember) for.
    /// Browser-length by default.
    #[must_use]
    pub fn default_persistence(self, persistence: Persistence) -> Self {
        self.set(|config| config.default_persistence = persistence)
    }
}

/// What the cookie is like.
impl<M> SessionLayer<M> {
    /// The cookie's name, without prefix. `id` by default.
    #[must_use]
    pub fn cookie_name(self, name: CookieName) -> Self {
        self.set_cookie(|cookie| cookie.name(name))
    }

    /// Sends the cookie to all hosts of this domain. By default only to the host that set it.
    ///
    /// The prefix of its name becomes `__Secure-`, since `__Host-` forbids a domain.
    #[must_use]
    pub fn domain(self, domain: CookieDomain) -> Self {
        self.set_cookie(|cookie| cookie.domain(domain))
    }

    /// Sends the cookie only under this path. `/` by default.
    ///
    /// The prefix of its name becomes `__Secure-`, since `__Host-` forbids other paths.
    #[must_use]
    pub fn path(self, path: CookiePath) -> Self {
        self.set_cookie(|cookie| cookie.path(path))
    }

    /// Which requests from other sites carry the cookie. [`SameSite::Lax`] by default.
    #[must_use]
    pub fn same_site(self, same_site: SameSite) -> Self {
        self.set_cookie(|cookie| cookie.same_site(same_site))
    }

    /// Keeps the cookie apart for each top-level site that embeds this one. Off by default.
    #[must_use]
    pub fn partitioned(self) -> Self {
        self.set_cookie(CookieConfig::partitioned)
    }

    /// Lets the cookie travel over plain HTTP, without `Secure` and prefix. For development:
    /// who listens on the network has the session.
    ///
    /// Chromium and curl take the default cookie on `http://localhost` and `http://127.0.0.1`
    /// without this.
    #[must_use]
    pub fn plain_http(self) -> Self {
        self.set_cookie(CookieConfig::plain_http)
    }
}

/// What happens at the limits.
impl<M> SessionLayer<M> {
    /// The largest record, encoded, and the largest single value, in bytes. 64 KiB by default,
    /// and never more than [`RECORD_LIMIT`](crate::store::RECORD_LIMIT).
    #[must_use]
    pub fn record_limit(self, bytes: usize) -> Self {
        self.set(|config| config.record_limit = bytes.min(RECORD_LIMIT))
    }

    /// What a request gets whose session cannot be loaded. [`Outage::Refuse`] by default.
    #[must_use]
    pub fn on_outage(self, outage: Outage) -> Self {
        self.set(|config| config.outage = outage)
    }

    /// Forbids caches, the browser's included, to keep any response whose handler asked for the
    /// session, and not only those that set its cookie. Off by default.
    ///
    /// With anything weaker a browser shows a private page again after sign-out, from its
    /// back-forward cache.
    #[must_use]
    pub fn no_store_when_read(self) -> Self {
        self.set(|config| config.no_store_when_read = true)
    }

    /// Serves [`Marked<N>`](crate::Marked) instead of `Session`, beside another layer.
    ///
    /// Two layers of one application need different cookie names: a layer inside another of the
    /// same name does nothing.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, SessionLayer};
    ///
    /// struct Admin;
    ///
    /// let layer = SessionLayer::new(MemoryStore::new())
    ///     .marked::<Admin>()
    ///     .cookie_name("admin".parse()?);
    /// # Ok::<(), cloakroom::ParseCookieError>(())
    /// ```
    #[must_use]
    pub fn marked<N>(self) -> SessionLayer<N> {
        SessionLayer {
            config: self.config,
            marker: PhantomData,
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Config)) -> Self {
        set(Arc::make_mut(&mut self.config));
        self
    }

    fn set_cookie(self, set: impl FnOnce(CookieConfig) -> CookieConfig) -> Self {
        self.set(|config| config.cookie = set(std::mem::take(&mut config.cookie)))
    }
}

impl<S, M> Layer<S> for SessionLayer<M> {
    type Service = SessionService<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, Arc::clone(&self.config))
    }
}

impl<M> Clone for SessionLayer<M> {
    fn clone(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
            marker: PhantomData,
        }
    }
}

impl<M> fmt::Debug for SessionLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("config", &self.config)
            .finish()
    }
}
