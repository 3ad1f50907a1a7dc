use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use redis::{RedisError, RedisResult};
use tokio::time::timeout;

use crate::connections::{Connection, Source, source::OVERALL};

/// A place for a connection that is opened when it is needed, by one caller for all.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    held: Mutex<Held>,
    /// Who has this connects; its content is how the last try failed.
    connecting: tokio::sync::Mutex<Option<(Instant, RedisError)>>,
    /// Who has this checks; its content is which connection was found to be of use last, and when.
    checking: tokio::sync::Mutex<Option<(u64, Instant)>>,
}

#[derive(Default)]
struct Held {
    connection: Option<Connection>,
    /// Counts the connections, so that nobody discards the next one for the fault of the last.
    number: u64,
    /// It may have followed slots to other masters since it was opened.
    has_moved: bool,
}

/// A cluster's servers answer within this time on a busy machine, also while the driver waits for one
/// that does not.
const ANSWERING: Duration = OVERALL;

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
                held.has_moved = false;
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

    /// Notes that a cluster's connection asks anew who has which slots: what it was told when it was
    /// opened says nothing of it any more.
    pub(crate) fn note_move(&self, number: u64) {
        let mut held = self.held.lock();
        held.has_moved |= held.number == number;
    }

    /// Finds out, beside its callers, whether a cluster's connection that has not answered in time
    /// is of any use.
    pub(crate) fn check(self: &Arc<Self>, number: u64) {
        let slot = Arc::clone(self);
        tokio::spawn(async move { slot.has_lost(number).await });
    }

    /// Whether a cluster's connection of this number is of no use any more, and let go of.
    ///
    /// One server may be slow, or gone: that is no reason to connect to all of them anew. But the
    /// driver asks a master for ever that has fallen silent, also when another has its slots. And
    /// after a failover, or the end of its runtime, it happens that a connection answers nobody any
    /// more, whichever server is asked.
    pub(crate) async fn has_lost(&self, number: u64) -> bool {
        let is_kept = timeout(ANSWERING, self.is_kept(number)).await;
        let has_lost = !is_kept.unwrap_or(false);
        if has_lost {
            self.discard(number);
        }
        has_lost
    }

    /// A server that dies has many callers: all who have waited for an answer share it.
    async fn is_kept(&self, number: u64) -> bool {
        let came = Instant::now();
        let mut kept = self.checking.lock().await;
        let connection = {
            let held = self.held.lock();
            let connection = held.connection.clone();
            connection.filter(|_| held.number == number && !held.has_moved)
        };
        let Some(connection) = connection else {
            return false;
        };
        if kept.is_some_and(|(kept, at)| kept == number && at >= came) {
            return true;
        }
        let serves = connection.serves().await;
        if serves {
            *kept = Some((number, Instant::now()));
        }
        serves
    }

    /// Lets go of the connection, if it is still the one of this number.
    pub(crate) fn discard(&self, number: u64) {
        let mut held = self.held.lock();
        if held.number == number {
            held.connection = None;
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
