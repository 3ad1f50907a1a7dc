use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use redis::{RedisError, RedisResult};

use crate::connections::{Connection, Source};

/// A place for a connection that is opened when it is needed, by one caller for all.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    held: Mutex<Held>,
    /// Who has this connects; its content is how the last try failed.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
}

#[derive(Default)]
struct Held {
    connection: Option<Connection>,
    /// Counts the connections, so that nobody discards the next one for the fault of the last.
    number: u64,
    /// Somebody is finding out whether this connection is of any use.
    is_checked: bool,
}

impl Slot {
    /// The connection and its number, opened if it has to be.
    pub(crate) async fn connection(
        &self,
        source: &Source,
        deadline: Duration,
    ) -> RedisResult<(u64, Connection)> {
        let came = Instant::now();
        let mut failed = self.connecting.lock().await;
        if let Some(held) = self.held() {
            return Ok(held);
        }
        // Everybody who has waited for a try shares its outcome.
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| *at >= came) {
            return Err(error.clone());
        }
        match source.connect(deadline).await {
            Ok(connection) => {
                *failed = None;
                let mut held = self.held.lock();
                held.connection = Some(connection.clone());
                held.number += 1;
                held.is_checked = false;
                Ok((held.number, connection))
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The connection and its number, if there is one.
    pub(crate) fn held(&self) -> Option<(u64, Connection)> {
        let held = self.held.lock();
        Some((held.number, held.connection.clone()?))
    }

    /// Finds out, beside its callers, whether a cluster's connection that has not answered in time
    /// is of any use.
    pub(crate) fn check(self: &Arc<Self>, number: u64) {
        if let Some(checking) = self.begin_check(number) {
            tokio::spawn(async move { checking.slot.has_lost(number).await });
        }
    }

    /// Whether a cluster's connection of this number is of no use any more, and let go of.
    ///
    /// One server may be slow, or gone: that is no reason to connect to all of them anew. But the
    /// driver asks a master for ever that has fallen silent, also when another has its slots. And
    /// after a failover, or the end of its runtime, it happens that a connection answers nobody any
    /// more, whichever server is asked.
    pub(crate) async fn has_lost(&self, number: u64) -> bool {
        if let Some((held, connection)) = self.held()
            && held == number
            && connection.serves().await
        {
            return false;
        }
        self.discard(number);
        true
    }

    /// Unless the connection of this number is being checked already, or is gone.
    fn begin_check(self: &Arc<Self>, number: u64) -> Option<Checking> {
        let mut held = self.held.lock();
        if held.number != number || held.is_checked {
            return None;
        }
        held.is_checked = true;
        let slot = Arc::clone(self);
        Some(Checking { slot, number })
    }

    /// Lets go of the connection, if it is still the one of this number.
    pub(crate) fn discard(&self, number: u64) {
        let mut held = self.held.lock();
        if held.number == number {
            held.connection = None;
        }
    }
}

/// A check under way. Over, or dropped with its runtime, it lets the next one begin.
struct Checking {
    slot: Arc<Slot>,
    number: u64,
}

impl Drop for Checking {
    fn drop(&mut self) {
        let mut held = self.slot.held.lock();
        if held.number == self.number {
            held.is_checked = false;
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("connected", &self.connection.is_some())
            .field("number", &self.number)
            .finish()
    }
}
