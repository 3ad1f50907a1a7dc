use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a store that is dropped waits for a thread of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until a thread has ended, but not for ever: in a damaged folder sled may look for a page
/// that is not there, again and again. Such a thread is left alone, and the folder stays locked
/// until the process ends.
pub(crate) fn wait_for(thread: JoinHandle<()>) {
    wait_at_most(PATIENCE, thread);
}

fn wait_at_most(patience: Duration, thread: JoinHandle<()>) {
    let began = Instant::now();
    while !thread.is_finished() {
        if began.elapsed() >= patience {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    // Its panic was an error of the calls, or made loads go through the blocking pool.
    let _ = thread.join();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_thread_that_never_ends_holds_nobody_up() {
        let (keep, stuck) = mpsc::channel::<()>();
        let thread = thread::spawn(move || stuck.recv().unwrap_or_default());
        wait_at_most(MILLI, thread);
        drop(keep);
    }

    #[test]
    fn a_thread_at_its_end_is_waited_for() {
        let (tell, told) = mpsc::channel();
        wait_for(thread::spawn(move || {
            thread::sleep(50 * MILLI);
            tell.send(()).unwrap();
        }));
        told.try_recv().unwrap();
    }
}
