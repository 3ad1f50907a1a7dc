use std::time::{Duration, Instant};

use crate::{cache::SHARDS, shared::Shared};

/// How long touches are left in memory, where a killed process loses them. A session that is used
/// moves its deadline a twentieth of its idle timeout at a time, so that little is lost.
const PAUSE: Duration = Duration::from_secs(3);

/// So many are written before the writer sees to other calls again.
const SOME: usize = 256;

/// Beyond this they are written at once.
const MANY: usize = 16 * 1024;

/// When the writer writes touches to the deadlines tree, and which are next.
#[derive(Debug)]
pub(crate) struct Touches {
    due: Instant,
    shard: usize,
}

impl Touches {
    pub(crate) fn new() -> Self {
        Self {
            due: Instant::now() + PAUSE,
            shard: 0,
        }
    }

    /// How long to wait for calls meanwhile.
    pub(crate) fn pause(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Writes some, if it is time; says whether it has. They are not flushed.
    pub(crate) fn write_some(&mut self, shared: &Shared) -> sled::Result<bool> {
        let pending = shared.cache.touches();
        if pending < MANY && !self.pause().is_zero() {
            return Ok(false);
        }
        let mut written = 0;
        while written < SOME && self.shard < SHARDS {
            written += shared.write_touches(self.shard)?;
            self.shard += 1;
        }
        if self.shard == SHARDS {
            *self = Self::new();
        }
        Ok(written > 0)
    }
}

impl Shared {
    /// Writes the touches of one shard; says how many.
    pub(crate) fn write_touches(&self, shard: usize) -> sled::Result<usize> {
        let touches = self.cache.unwritten(shard);
        let grown = self.noted(self.trees.touch(&touches))?;
        self.warmth.grow(&grown);
        self.cache.touches_written(&touches);
        Ok(touches.len())
    }
}
