use std::{
    fmt, io, iter,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cloakroom_store_api::{Error, Result};
use tokio::{
    sync::oneshot::{self, Sender},
    time::timeout,
};

use crate::{batch::Batch, ending, error::Failure, shared::Shared, touches::Touches};

/// The thread that changes the store, and the queue before it.
///
/// All waiting calls share one transaction and one flush. It ends when it is dropped, after
/// the calls that wait.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Taken on drop.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// A call that waits.
trait Job: Send {
    /// Judges it, unless nobody waits for it any more.
    fn decide(&mut self, batch: &mut Batch<'_>);

    /// Says what was decided, once it is stored, or why it is not.
    fn answer(self: Box<Self>, shared: &Shared, stored: &sled::Result<()>);
}

struct Call<T, F> {
    asked: Instant,
    deadline: Duration,
    decide: Option<F>,
    decided: Option<Result<T>>,
    reply: Sender<Result<T>>,
}

/// A batch takes no more calls than this, nor any more once it has this many bytes to store.
const CALLS: usize = 256;
const BYTES: usize = 1024 * 1024;

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
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call {
            asked: Instant::now(),
            deadline,
            decide: Some(decide),
            decided: None,
            reply,
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

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_>) -> Result<T> + Send,
{
    fn decide(&mut self, batch: &mut Batch<'_>) {
        let Some(decide) = self.decide.take() else {
            return;
        };
        if self.reply.is_closed() {
            return;
        }
        self.decided = Some(match self.asked.elapsed() < self.deadline {
            true => decide(batch),
            false => Err(late(self.deadline)),
        });
    }

    fn answer(self: Box<Self>, shared: &Shared, stored: &sled::Result<()>) {
        let Some(decided) = self.decided else {
            return;
        };
        // Nobody may wait any more.
        let _ = self.reply.send(match stored {
            Ok(()) => decided,
            Err(_) => Err(ended(shared)),
        });
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

/// Sees to it that nothing is answered after a panic of the writer: what it had shown may be in no
/// tree.
struct Working<'a>(&'a Shared);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let bug = sled::Error::ReportableBug("its writer panicked".into());
            let _ = self.0.noted::<()>(Err(bug));
        }
    }
}

fn work(shared: &Shared, queue: &Receiver<Box<dyn Job>>) {
    let _working = Working(shared);
    let mut touches = Touches::new();
    loop {
        let first = match queue.recv_timeout(touches.pause()) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut batch = Batch::new(shared);
        let mut jobs = Vec::new();
        let waiting = iter::from_fn(|| next(queue));
        for mut job in first.into_iter().chain(waiting).take(CALLS) {
            batch.next();
            job.decide(&mut batch);
            jobs.push(job);
            if batch.size() >= BYTES {
                break;
            }
        }
        let stored = batch.finish(&mut touches);
        for job in jobs {
            job.answer(shared, &stored);
        }
        if stored.is_err() {
            return;
        }
    }
    // Nobody is left to tell.
    let _ = shared.close();
}

/// A call that waits already.
///
/// Callers that were answered just now are about to ask again. They are let run first, and
/// share the next batch: with 64 callers it holds 64 calls.
fn next(queue: &Receiver<Box<dyn Job>>) -> Option<Box<dyn Job>> {
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
