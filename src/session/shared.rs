use std::{fmt, future::Future, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, header::COOKIE};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use crate::{
    Error, Result,
    layer::{Config, Outage},
    observe::{self, Call, Operation},
    random,
    session::{state::State, to_its_end::ToItsEnd, turns::Place},
    store::{self, Record, Saved, SessionId, SessionToken},
};

/// One request's session, shared by all its handles.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    /// Hardly any request has more than one.
    cookie: Option<HeaderValue>,
    more_cookies: Vec<HeaderValue>,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(config: Arc<Config>, headers: &HeaderMap) -> Self {
        let mut cookies = headers.get_all(COOKIE).iter().cloned();
        Self {
            config,
            cookie: cookies.next(),
            more_cookies: cookies.collect(),
            state: Mutex::default(),
        }
    }

    /// The state, for a moment: nothing is awaited and no closure of the application is called
    /// while it is held.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The request's `Cookie` headers.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &HeaderValue> {
        self.cookie.iter().chain(&self.more_cookies)
    }

    /// The sessions that the browser may mean.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (SessionId, SessionToken)> {
        self.config.cookie.candidates(self.cookies())
    }

    /// Asks the store for the session, once (M1, M3, M14, M15).
    pub(crate) async fn load(&self) -> Result<()> {
        let place = Place::take(self);
        place.turn().await;
        {
            let mut state = self.state();
            state.looked = true;
            if state.loaded {
                return Ok(());
            }
        }
        let live = match self.first_live().await {
            Ok(live) => live,
            Err(failure) if self.config.outage == Outage::Refuse => return Err(failure.into()),
            Err(_) => {
                observe::degraded();
                let mut state = self.state();
                (state.loaded, state.degraded) = (true, true);
                return Ok(());
            }
        };
        let mut state = self.state();
        state.loaded = true;
        if let Some((token, record)) = live {
            (state.token, state.record) = (Some(token), Some(record));
        }
        Ok(())
    }

    async fn first_live(&self) -> store::Result<Option<(SessionToken, Arc<Record>)>> {
        for (id, token) in self.candidates() {
            if let Some(record) = self.load_record(id).await? {
                return Ok(Some((token, record)));
            }
        }
        Ok(None)
    }

    /// A record that cannot be read is no session (M15).
    pub(crate) async fn load_record(&self, id: SessionId) -> store::Result<Option<Arc<Record>>> {
        let call = Call::begin(Operation::Load, id);
        match call.ended(self.config.store.load(id).await, observe::hit_or_miss) {
            Ok(found) => Ok(found.map(Arc::new)),
            Err(failure @ store::Error::Corrupt { .. }) => {
                observe::corrupt(&failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn save(&self, record: &Record) -> Result<Saved> {
        self.check_size(record)?;
        let operation = if record.revision == 0 {
            Operation::Create
        } else {
            Operation::Save
        };
        let call = Call::begin(operation, record.id);
        Ok(call.ended(self.config.store.save(record).await, observe::saved)?)
    }

    /// Refuses a record that is over the limit as it would be stored (M16).
    pub(crate) fn check_size(&self, record: &Record) -> Result<()> {
        let limit = self.config.record_limit;
        // Beside the entries there are at most a few dozen bytes and the owner.
        if record.data.size() + 512 <= limit {
            return Ok(());
        }
        let size = record.encode()?.len();
        if size > limit {
            return Err(Error::TooLarge {
                what: "bytes in a session record",
                size,
                limit,
            });
        }
        Ok(())
    }
}

/// Runs what acts at once: after all that acts on this session already, and to its end even if
/// the returned future is dropped (M6).
pub(crate) async fn act<T, F>(shared: &Arc<Shared>, act: impl FnOnce(Arc<Shared>) -> F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    // Taken here, so that a response that ends now waits for it.
    let place = Place::take(Arc::clone(shared));
    let act = act(Arc::clone(shared));
    let in_turn = async move {
        place.turn().await;
        act.await
    };
    let done = ToItsEnd::new(in_turn).await;
    done.unwrap_or_else(|panicked| {
        let failure = Error::Store(store::Error::backend(panicked));
        observe::panicked(&failure);
        Err(failure)
    })
}

/// Tries again after lost races, for as long as that makes sense (M4).
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// Since the first race that was lost.
    since: Option<Instant>,
    tries: u32,
}

/// How long a request goes on when others save the same session.
///
/// Time is what counts, not tries: with 64 requests at once some needed 26.
const CONTENTION: Duration = Duration::from_secs(5);

impl Retry {
    /// Waits a random while, longer from try to try and up to 64 ms.
    pub(crate) async fn again(&mut self) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= CONTENTION {
            return Err(Error::Contended);
        }
        let most = Duration::from_millis(1 << self.tries.min(6));
        self.tries += 1;
        sleep(most.mul_f64(random::share())).await;
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.sent && state.has_pending() {
            observe::dropped_changes(state.id());
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.state().id())
            .finish_non_exhaustive()
    }
}
