//! Which commands are sent again. In a cluster the driver could do it, but would not say so: what may
//! have been done twice is answered otherwise.

use std::time::Duration;

use redis::{ErrorKind, RedisError};
use tokio::time::sleep;

use crate::{connections::slot::Slot, error};

/// What has become of a command that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It fails again if it is sent again, or it was not answered in time.
    Final,
    /// It was not done.
    Refused,
    /// It may have been done.
    Unknown,
}

/// The same of a cluster's, after a while in which the connection may learn where its key is by now.
pub(super) async fn in_cluster(
    slot: &Slot,
    number: u64,
    error: &RedisError,
    sent_again: u32,
) -> Outcome {
    let code = error::code(error);
    if matches!(code, "MOVED" | "READONLY") || error.kind() == ErrorKind::ClusterConnectionNotFound
    {
        slot.note_move(number);
    }
    let outcome = match code {
        // The connection asks for the topology before it sends anything else.
        "MOVED" | "READONLY" if sent_again == 0 => return Outcome::Refused,
        // A master that hears of no other says so for ever, though they may have replaced it.
        "CLUSTERDOWN" if sent_again == 0 && slot.has_lost(number).await => {
            return Outcome::Refused;
        }
        "MOVED" | "ASK" | "READONLY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" => {
            Outcome::Refused
        }
        // It heals itself, mostly. One that has not answered in time is being looked at already. Also
        // what has been sent may hear that there is no connection.
        _ if error.kind() == ErrorKind::ClusterConnectionNotFound
            || error.is_io_error() && !error.is_timeout() =>
        {
            if slot.has_lost(number).await {
                // The next one learns it at once.
                return Outcome::Unknown;
            }
            Outcome::Unknown
        }
        _ => return Outcome::Final,
    };
    sleep(Duration::from_millis(fastrand::u64(20..100))).await;
    outcome
}
