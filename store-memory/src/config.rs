use std::sync::Arc;

use cloakroom_store_api::{Clock, StoreClock, SystemClock};

use crate::{MemoryStore, sessions::Sessions};

/// How a [`MemoryStore`] is to be.
#[derive(Clone, Debug, Default)]
pub struct MemoryStoreBuilder {
    max_sessions: Option<usize>,
    clock: Option<Arc<dyn Clock>>,
}

impl MemoryStoreBuilder {
    /// Refuses new sessions while this many are stored. Unbounded by default.
    ///
    /// A full store answers [`Unavailable`](cloakroom_store_api::Error::Unavailable): sessions
    /// that are there live on, and there is room again when some of them have ended.
    #[must_use]
    pub fn max_sessions(self, max_sessions: usize) -> Self {
        Self {
            max_sessions: Some(max_sessions),
            ..self
        }
    }

    /// Judges by this clock. The system's by default; another is for tests.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        let Self {
            max_sessions,
            clock,
        } = self;
        let clock = clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        MemoryStore {
            sessions: Arc::new(Sessions::new(max_sessions, StoreClock::new(clock))),
        }
    }
}
