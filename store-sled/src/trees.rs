use std::{
    any::Any,
    fs,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    thread,
    time::{Duration, Instant},
};

use cloakroom_store_api::{BoxError, Error, Result, SessionId, Timestamp};
use sled::{Db, IVec, Tree};

use crate::{
    cache::Touch,
    config::{Durability, SledStoreBuilder},
    error::{Failure, sorted, unopened},
    row::{self, Row, corrupt},
    warmth::Growth,
};

/// The folder's trees.
#[derive(Debug)]
pub(crate) struct Trees {
    db: Db,
    /// Id to row.
    pub(crate) records: Tree,
    /// Id to revision and deadline, where touches moved it since the row was written: so a
    /// touch never rewrites the data. What is of another revision than the row is left over.
    /// The last touches are [in memory](crate::cache) only.
    pub(crate) deadlines: Tree,
    /// When to see whether a session has died, and its id, to its owner. Each session has an
    /// entry at its deadline or before it: what moves the deadline later leaves the entry alone,
    /// and sweep files it anew. There may be more, also of sessions that have ended.
    pub(crate) expiry: Tree,
    /// Owner and id to nothing.
    pub(crate) owners: Tree,
    /// Format and clock.
    pub(crate) meta: Tree,
}

const META: &str = "meta";
const FORMAT: &str = "format";
const CLOCK: &str = "clock";

/// A file that says that the folder's database has a format: sled takes one that it cannot
/// read for an empty one.
const MARKER: &str = "cloakroom";
const MARK: &str = "Web sessions, kept by Cloakroom in a database of sled 0.34.\n";

/// The layout of the trees and their keys.
const VERSION: &[u8] = &[1];

impl Trees {
    pub(crate) fn open(builder: &SledStoreBuilder) -> Result<Self> {
        let asked = Instant::now();
        loop {
            // sled panics on some folders that it cannot make sense of.
            let opened = panic::catch_unwind(AssertUnwindSafe(|| Self::try_open(builder)))
                .unwrap_or_else(|panic| Err(Failure::Panicked(message(&*panic)).into()))
                .map_err(|cause| unopened(&builder.path, cause));
            match opened {
                Err(Error::Unavailable(_)) if asked.elapsed() < LOCK_WAIT => {
                    thread::sleep(Duration::from_millis(1));
                }
                other => return other,
            }
        }
    }

    fn try_open(builder: &SledStoreBuilder) -> Result<Self, BoxError> {
        let db = sled::Config::new()
            .path(&builder.path)
            .cache_capacity(builder.tree_cache().max(MIN_CACHE))
            .flush_every_ms(match builder.durability {
                Durability::Always => None,
                Durability::Every(pause) => {
                    Some(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1))
                }
            })
            .open()?;
        let marker = builder.path.join(MARKER);
        let is_marked = marker.try_exists()?;
        // A first opening that was killed half-way leaves at most an empty `meta`.
        let is_new = db.is_empty()
            && db
                .tree_names()
                .iter()
                .all(|name| *name == META || *name == db.name());
        let meta = db.open_tree(META)?;
        match meta.get(FORMAT)? {
            Some(found) if found == VERSION => {}
            Some(other) => return Err(Failure::Format(other.to_vec()).into()),
            None if is_marked => return Err(Failure::Damaged.into()),
            None if is_new => {
                meta.insert(FORMAT, VERSION)?;
                db.flush()?;
            }
            None => return Err(Failure::Foreign.into()),
        }
        if !is_marked {
            fs::write(marker, MARK)?;
        }
        Ok(Self {
            records: db.open_tree("records")?,
            deadlines: db.open_tree("deadlines")?,
            expiry: db.open_tree("expiry")?,
            owners: db.open_tree("owners")?,
            meta,
            db,
        })
    }

    /// The row of an id, with its deadline.
    ///
    /// The deadline is read first. A save takes it away once it has written the row: read after
    /// the row, it could be missing for a row that it belonged to, which would look dead before
    /// its time. Read before, it may be of an earlier revision than the row, and is ignored then.
    pub(crate) fn row(&self, id: SessionId) -> Result<Option<Row>> {
        let deadline = self.deadlines.get(id.as_bytes()).map_err(sorted)?;
        self.records
            .get(id.as_bytes())
            .map_err(sorted)?
            .map(|bytes| Row::read(bytes, deadline.as_ref()))
            .transpose()
            .map_err(|cause| corrupt(id, cause))
    }

    /// Whether a later version of the store wrote the row of an id.
    pub(crate) fn is_later(&self, id: SessionId) -> Result<bool> {
        let found = self.records.get(id.as_bytes()).map_err(sorted)?;
        Ok(found.is_some_and(|bytes| Row::is_later(&bytes)))
    }

    /// Moves deadlines; says what has grown by it.
    pub(crate) fn touch(&self, touches: &[(SessionId, Touch)]) -> sled::Result<Growth> {
        let mut grown = Growth::default();
        for (id, touch) in touches {
            let (key, value) = (id.as_bytes(), row::deadline(touch));
            let old = self.deadlines.insert(key, &value)?;
            grown.see(key, old.as_ref(), Some(&value));
        }
        Ok(grown)
    }

    /// All rows with their deadlines, `None` for those that cannot be read.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<Option<(SessionId, Row)>>> {
        self.records.iter().map(|found| {
            let (id, bytes) = found.map_err(sorted)?;
            let deadline = self.deadlines.get(&id).map_err(sorted)?;
            let row = Row::read(bytes, deadline.as_ref()).ok();
            Ok(row::last_id(&id).zip(row))
        })
    }

    /// What the clock showed when it was last written down.
    pub(crate) fn clock(&self) -> Result<Option<Timestamp>> {
        let found = self.meta.get(CLOCK).map_err(sorted)?;
        Ok(found.and_then(|value| row::clock_answer(&value)))
    }

    /// Writes down what the clock shows.
    pub(crate) fn set_clock(&self, now: Timestamp) -> sled::Result<()> {
        self.meta.insert(CLOCK, row::clock_value(now)).map(drop)
    }

    pub(crate) fn flush(&self) -> sled::Result<()> {
        self.db.flush().map(drop)
    }

    /// Reads all that the sessions have, until told to stop.
    pub(crate) fn read_all(
        &self,
        mut see: impl FnMut(&[u8], &IVec) -> ControlFlow<()>,
    ) -> sled::Result<ControlFlow<()>> {
        let trees = [&self.deadlines, &self.records, &self.expiry, &self.owners];
        for entry in trees.into_iter().flat_map(Tree::iter) {
            let (key, value) = entry?;
            if see(&key, &value).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// sled's own threads hold the lock for a moment after the last handle is dropped.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// sled panics below 256 bytes, and is of no use with so few.
const MIN_CACHE: u64 = 64 * 1024;

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}
