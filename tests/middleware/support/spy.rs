use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use cloakroom::{
    MemoryStore,
    store::{
        Age, Error as StoreError, ManualClock, Record, Result as StoreResult, Saved, SessionId,
        SessionStore, SessionToken, Stamp, Stats, Swept, async_trait,
    },
};

use super::Browser;

/// A memory store on a clock of the test's, that notes its calls.
#[derive(Clone, Debug)]
pub(crate) struct Spy {
    pub(crate) clock: ManualClock,
    pub(crate) inner: MemoryStore,
    calls: Arc<Mutex<Vec<&'static str>>>,
    failing: Arc<AtomicBool>,
    conflicts: Arc<AtomicU32>,
    slow: Arc<Mutex<Duration>>,
    spoiled: Arc<AtomicBool>,
    swept: Arc<Mutex<Vec<Swept>>>,
    limits: Arc<Mutex<Vec<u32>>>,
    moving: Arc<AtomicU32>,
}

impl Spy {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            inner: MemoryStore::builder()
                .clock(Arc::new(clock.clone()))
                .build(),
            clock,
            calls: Arc::default(),
            failing: Arc::default(),
            conflicts: Arc::default(),
            slow: Arc::default(),
            spoiled: Arc::default(),
            swept: Arc::default(),
            limits: Arc::default(),
            moving: Arc::default(),
        }
    }

    /// The calls since it was last asked.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, SeqCst);
    }

    /// Cannot read what it has stored.
    pub(crate) fn spoil(&self, spoiled: bool) {
        self.spoiled.store(spoiled, SeqCst);
    }

    /// Answers `Conflict` to this many saves and rotations.
    pub(crate) fn conflict(&self, times: u32) {
        self.conflicts.store(times, SeqCst);
    }

    /// Answers the next sweeps so, in this order, and then that nothing was left.
    pub(crate) fn swept(&self, removed: &[u64]) {
        let batches = removed.iter().rev();
        *self.swept.lock().unwrap() = batches
            .map(|&removed| Swept {
                removed,
                more: true,
            })
            .collect();
    }

    /// How many sessions each sweep was to remove at most.
    pub(crate) fn limits(&self) -> Vec<u32> {
        self.limits.lock().unwrap().clone()
    }

    /// Takes this long for every call.
    pub(crate) fn slow(&self, delay: Duration) {
        *self.slow.lock().unwrap() = delay;
    }

    pub(crate) async fn records(&self) -> u64 {
        let stats = self.inner.stats().await.unwrap();
        stats.browser + stats.persistent
    }

    /// The only live record.
    pub(crate) async fn record(&self, browser: &Browser) -> Record {
        let token = SessionToken::parse(browser.token()).unwrap();
        self.inner
            .load(token.id())
            .await
            .unwrap()
            .expect("a live session")
    }

    async fn called(&self, call: &'static str) -> StoreResult<()> {
        self.calls.lock().unwrap().push(call);
        let delay = *self.slow.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.failing.load(SeqCst) {
            return Err(StoreError::unavailable("the test switched it off"));
        }
        Ok(())
    }

    /// Rotates what it lists, right after the answer, in this many calls.
    pub(crate) fn move_on(&self, times: u32) {
        self.moving.store(times, SeqCst);
    }

    fn conflicts(&self) -> bool {
        one_less(&self.conflicts)
    }
}

#[async_trait]
impl SessionStore for Spy {
    async fn load(&self, id: SessionId) -> StoreResult<Option<Record>> {
        self.called("load").await?;
        let found = self.inner.load(id).await?;
        if found.is_some() && self.spoiled.load(SeqCst) {
            return Err(StoreError::corrupt(id, "wrong checksum"));
        }
        Ok(found)
    }

    async fn save(&self, record: &Record) -> StoreResult<Saved> {
        self.called("save").await?;
        if self.conflicts() {
            return Ok(Saved::Conflict);
        }
        self.inner.save(record).await
    }

    async fn touch(&self, id: SessionId, revision: u64) -> StoreResult<Option<Stamp>> {
        self.called("touch").await?;
        self.inner.touch(id, revision).await
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> StoreResult<Saved> {
        self.called("rotate").await?;
        if self.conflicts() {
            return Ok(Saved::Conflict);
        }
        self.inner.rotate(old, record, age).await
    }

    async fn expire(&self, id: SessionId) -> StoreResult<bool> {
        self.called("expire").await?;
        self.inner.expire(id).await
    }

    async fn list(&self, owner: &str) -> StoreResult<Vec<Record>> {
        self.called("list").await?;
        let found = self.inner.list(owner).await?;
        if one_less(&self.moving) {
            for record in &found {
                let id = SessionToken::generate()?.id();
                let next = Record {
                    id,
                    ..record.clone()
                };
                let _ = self.inner.rotate(record.id, &next, Age::Keep).await?;
            }
        }
        Ok(found)
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> StoreResult<u64> {
        self.called("expire_owner").await?;
        self.inner.expire_owner(owner, except).await
    }

    async fn sweep(&self, limit: NonZeroU32) -> StoreResult<Swept> {
        self.called("sweep").await?;
        self.limits.lock().unwrap().push(limit.get());
        let swept = self.swept.lock().unwrap().pop();
        match swept {
            Some(swept) => Ok(swept),
            None => self.inner.sweep(limit).await,
        }
    }

    async fn stats(&self) -> StoreResult<Stats> {
        self.called("stats").await?;
        self.inner.stats().await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.called("ping").await
    }
}

/// Whether there was one to take away.
fn one_less(count: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    count.fetch_update(SeqCst, SeqCst, less).is_ok()
}
