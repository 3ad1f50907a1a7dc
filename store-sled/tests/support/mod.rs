use std::time::{Duration, Instant};

use cloakroom_store_api::Error;
use cloakroom_store_sled::{SledStore, SledStoreBuilder};

/// Opens a folder that nobody has open.
///
/// Where the machine stalls, sled's own threads may have its lock for longer than an opening waits
/// for them.
pub(crate) fn reopened(builder: &SledStoreBuilder) -> SledStore {
    let asked = Instant::now();
    loop {
        match builder.clone().open() {
            Err(Error::Unavailable(_)) if asked.elapsed() < Duration::from_secs(10) => {}
            opened => return opened.unwrap(),
        }
    }
}
