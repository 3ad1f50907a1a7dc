use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use sled::IVec;

use crate::trees::Trees;

/// Whether all that loads read is in sled's cache, so that they need no disk.
///
/// It is once it was read, unless there is more than certainly fits. What has outgrown the cache
/// is not looked at again before the folder is opened again: parts of it may be cold for ever.
#[derive(Debug)]
pub(crate) struct Warmth {
    capacity: u64,
    /// How many bytes are stored, and how many the largest entry has had.
    bytes: AtomicU64,
    largest: AtomicU64,
    is_counted: AtomicBool,
    is_warm: AtomicBool,
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
            is_warm: AtomicBool::new(false),
        }
    }

    pub(crate) fn needs_no_disk(&self) -> bool {
        self.is_warm.load(Relaxed)
    }

    /// Takes note of what a write has changed.
    pub(crate) fn grow(&self, growth: &Growth) {
        self.add(growth);
        // What goes while all is being counted may not have been counted.
        if self.is_counted.load(Relaxed) {
            self.bytes.fetch_sub(growth.less, Relaxed);
        }
        if !self.fits() {
            self.is_warm.store(false, Relaxed);
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
            self.is_counted.store(true, Relaxed);
            self.is_warm.store(self.fits(), Relaxed);
        }
        Ok(())
    }

    fn add(&self, growth: &Growth) {
        self.bytes.fetch_add(growth.more, Relaxed);
        if growth.largest > self.largest.load(Relaxed) {
            self.largest.fetch_max(growth.largest, Relaxed);
        }
    }

    /// Each part has room for what it has on average, two and a half times because of the
    /// changes and the powers of two, and for one page more. Sessions of 100, 400 and 4,000
    /// bytes, each saved again up to three times, then had no page read from the disk.
    fn fits(&self) -> bool {
        let pages = self.bytes.load(Relaxed).saturating_mul(5) / 2;
        let unevenness = self.largest.load(Relaxed).saturating_mul(PAGE * PARTS);
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
