use std::{
    ops::ControlFlow,
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use sled::IVec;

use crate::trees::Trees;

/// Whether all that loads read is in sled's cache, so that they need no disk.
///
/// It is once it was read, unless there is more than certainly fits. What has outgrown the cache
/// is not looked at again before the folder is opened again: parts of it may be cold for ever.
///
/// Who counts and who writes meanwhile both add what they have, and look then whether all of it
/// still fits. In the one order of these steps the last to look sees what both have added.
#[derive(Debug)]
pub(crate) struct Warmth {
    capacity: u64,
    /// How many bytes are stored, and how many the largest entry has had.
    bytes: AtomicU64,
    largest: AtomicU64,
    /// Neither is taken back, so it does not matter which of the two comes first.
    is_counted: AtomicBool,
    has_outgrown: AtomicBool,
}

/// By how much what is stored has changed.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    more: u64,
    less: u64,
    largest: u64,
}

/// What an entry takes beside its key and value.
const OVERHEAD: usize = 8;

/// sled's cache is 256 parts of equal size. It counts a page, of up to 16 entries, with up to ten
/// changes of them that are not merged yet, and takes the next power of two.
const PARTS: u64 = 256;
const PAGE: u64 = (16 + 10) * 2;

impl Warmth {
    pub(crate) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            bytes: AtomicU64::new(0),
            largest: AtomicU64::new(0),
            is_counted: AtomicBool::new(false),
            has_outgrown: AtomicBool::new(false),
        }
    }

    pub(crate) fn needs_no_disk(&self) -> bool {
        self.is_counted.load(Relaxed) && !self.has_outgrown.load(Relaxed)
    }

    /// Takes note of what a write has changed.
    pub(crate) fn grow(&self, growth: &Growth) {
        self.add(growth);
        // What goes while all is being counted may not have been counted, also if that ends now.
        if self.is_counted.load(SeqCst) {
            let less = |bytes: u64| Some(bytes.saturating_sub(growth.less));
            let _ = self.bytes.fetch_update(SeqCst, SeqCst, less);
        }
        if !self.fits() {
            self.has_outgrown.store(true, Relaxed);
        }
    }

    /// Counts and reads everything, so that sled has it in its cache, until told to stop.
    pub(crate) fn warm(&self, trees: &Trees, stop: impl Fn() -> bool) -> sled::Result<()> {
        let read = trees.read_all(|key, value| {
            let mut found = Growth::default();
            found.see(key, None, Some(value));
            self.add(&found);
            match stop() || !self.fits() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if read? == ControlFlow::Continue(()) {
            self.is_counted.store(true, SeqCst);
        }
        Ok(())
    }

    fn add(&self, growth: &Growth) {
        self.bytes.fetch_add(growth.more, SeqCst);
        if growth.largest > self.largest.load(SeqCst) {
            self.largest.fetch_max(growth.largest, SeqCst);
        }
    }

    /// Each part has room for what it has on average, two and a half times because of the
    /// changes and the powers of two, and for one page more. Sessions of 100, 400 and 4,000
    /// bytes, each saved again up to three times, then had no page read from the disk.
    fn fits(&self) -> bool {
        let pages = self.bytes.load(SeqCst).saturating_mul(5) / 2;
        let unevenness = self.largest.load(SeqCst).saturating_mul(PAGE * PARTS);
        pages.saturating_add(unevenness) <= self.capacity
    }
}

impl Growth {
    /// Adds that a key has a new value in place of the old one.
    pub(crate) fn see(&mut self, key: &[u8], old: Option<&IVec>, new: Option<&IVec>) {
        let size = |value: Option<&IVec>| {
            let bytes = value.map_or(0, |value| key.len() + value.len() + OVERHEAD);
            u64::try_from(bytes).unwrap_or(u64::MAX)
        };
        self.more += size(new);
        self.less += size(old);
        self.largest = self.largest.max(size(new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SledStore;

    const CAPACITY: u64 = 1024 * 1024;

    fn growth(more: u64, less: u64) -> Growth {
        Growth {
            more,
            less,
            largest: 0,
        }
    }

    /// Also if whoever counts comes to its end late.
    #[test]
    fn what_has_outgrown_the_cache_is_not_warm_again() {
        let folder = tempfile::tempdir().unwrap();
        let trees = Trees::open(&SledStore::builder(folder.path())).unwrap();
        let warmth = Warmth::new(CAPACITY);
        warmth.warm(&trees, || false).unwrap();
        assert!(warmth.needs_no_disk());
        warmth.grow(&growth(CAPACITY, 0));
        assert!(!warmth.needs_no_disk());
        warmth.grow(&growth(0, CAPACITY));
        warmth.warm(&trees, || false).unwrap();
        assert!(!warmth.needs_no_disk());
    }
}
