use std::{
    fmt, io, iter,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, Result};
use tokio::{sync::oneshot, time::timeout};

use crate::{batch::Batch, ending, error::Failure, shared::Shared};

/// The thread that changes the store, and the queue before it.
///
/// All waiting calls share one transaction and one flush. It ends when it is dropped, after
/// the calls that wait.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Taken on drop.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Judges one call, unless nobody waits for it any more.
type Job = Box<dyn FnOnce(&mut Batch<'_>) -> Option<Answer> + Send>;

/// Sends what was decided, once it is stored, or why it is not.
type Answer = Box<dyn FnOnce(&Shared, &sled::Result<()>) + Send>;

/// A batch takes no more calls than this, nor any more once it has this many bytes to store.
const CALLS: usize = 256;
const BYTES: usize = 1024 * 1024;

/// How often it is seen to whether the folder still fits the cache.
const MEASURE: Duration = Duration::from_secs(1);

impl Writer {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("cloakroom-sled".into())
            .spawn({
                let shared = Arc::clone(shared);
                move || work(&shared, &queue)
            })?;
        Ok(Self {
            shared: Arc::clone(shared),
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Lets the writer decide a call, and waits until it is stored, at most until the deadline.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        deadline: Duration,
        decide: impl FnOnce(&mut Batch<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let asked = Instant::now();
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |batch| {
            if reply.is_closed() {
                return None;
            }
            if asked.elapsed() >= deadline {
                // Nobody may wait any more, here and below.
                let _ = reply.send(Err(late(deadline)));
                return None;
            }
            let decided = decide(batch);
            Some(Box::new(move |shared, stored| {
                let _ = reply.send(match stored {
                    Ok(()) => decided,
                    Err(_) => Err(ended(shared)),
                });
            }))
        });
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(job).ok())
            .ok_or_else(|| ended(&self.shared))?;
        match timeout(deadline, answer).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(_)) => Err(ended(&self.shared)),
            Err(_) => Err(late(deadline)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            ending::wait_for(thread);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

fn work(shared: &Shared, queue: &Receiver<Job>) {
    let mut measured = Instant::now();
    while let Ok(first) = queue.recv() {
        let turn = shared.turn();
        let mut batch = Batch::new(shared);
        let mut answers = Vec::new();
        let waiting = iter::from_fn(|| next(queue));
        for job in iter::once(first).chain(waiting).take(CALLS) {
            batch.next();
            answers.extend(job(&mut batch));
            if batch.size() >= BYTES {
                break;
            }
        }
        let stored = batch.finish();
        drop(turn);
        for answer in answers {
            answer(shared, &stored);
        }
        if stored.is_err() {
            return;
        }
        if measured.elapsed() >= MEASURE {
            shared.measure();
            measured = Instant::now();
        }
    }
    let _turn = shared.turn();
    // Nobody is left to tell.
    let _ = shared.close();
}

/// A call that waits already.
///
/// Callers that were answered just now are about to ask again. They are let run first, and
/// share the next batch: with 64 callers it holds 64 calls.
fn next(queue: &Receiver<Job>) -> Option<Job> {
    queue.try_recv().ok().or_else(|| {
        thread::yield_now();
        queue.try_recv().ok()
    })
}

pub(crate) fn late(deadline: Duration) -> Error {
    Error::unavailable(Failure::Late(deadline))
}

fn ended(shared: &Shared) -> Error {
    shared
        .broken()
        .unwrap_or_else(|| Error::backend(Failure::Ended))
}
