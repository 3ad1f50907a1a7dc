use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

use sled::IVec;

use crate::trees::Trees;

/// Whether all that loads read is in sled's cache, so that they need no disk.
///
/// It is once it was read, unless there is more than certainly fits. What has outgrown the cache
/// is not looked at again before the folder is opened again: parts of it may be cold for ever.
#[derive(Debug)]
pub(crate) struct Warmth {
    /// How many bytes are stored, and how many are believed to fit.
    bytes: AtomicI64,
    most: i64,
    is_counted: AtomicBool,
    is_warm: AtomicBool,
}

/// sled's cache holds this many times the bytes that are certain to stay in it. It counts pages by
/// their next power of two, with the changes that are not merged yet, and is made of 256 parts of
/// equal size, which fill unevenly.
const ROOM: u64 = 4;

/// What an entry takes beside its key and value.
const OVERHEAD: usize = 8;

impl Warmth {
    pub(crate) fn new(cache_capacity: u64) -> Self {
        Self {
            bytes: AtomicI64::new(0),
            most: i64::try_from(cache_capacity / ROOM).unwrap_or(i64::MAX),
            is_counted: AtomicBool::new(false),
            is_warm: AtomicBool::new(false),
        }
    }

    pub(crate) fn needs_no_disk(&self) -> bool {
        self.is_warm.load(Relaxed)
    }

    /// Takes note of what a write has changed.
    pub(crate) fn grow(&self, bytes: i64) {
        // What goes while all is being counted may not have been counted.
        if bytes > 0 || self.is_counted.load(Relaxed) {
            self.bytes.fetch_add(bytes, Relaxed);
        }
        if !self.fits() {
            self.is_warm.store(false, Relaxed);
        }
    }

    /// Counts and reads everything, so that sled has it in its cache, until told to stop.
    pub(crate) fn warm(&self, trees: &Trees, stop: impl Fn() -> bool) -> sled::Result<()> {
        let read = trees.read_all(|key, value| {
            self.bytes.fetch_add(size(key, value), Relaxed);
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

    fn fits(&self) -> bool {
        self.bytes.load(Relaxed) <= self.most
    }
}

/// How many bytes more there are, once a key has the new value in place of the old one.
pub(crate) fn growth(key: &[u8], old: Option<&IVec>, new: Option<&IVec>) -> i64 {
    let bytes = |value: Option<&IVec>| value.map_or(0, |value| size(key, value));
    bytes(new) - bytes(old)
}

fn size(key: &[u8], value: &[u8]) -> i64 {
    i64::try_from(key.len() + value.len() + OVERHEAD).unwrap_or(i64::MAX)
}
