use std::{
    io::{Result, Write},
    sync::{Arc, Mutex},
};

use tracing::{Subscriber, subscriber::DefaultGuard};
use tracing_subscriber::fmt::MakeWriter;

/// What was logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Gathers the events of this thread, on which a test's server runs too.
    pub(crate) fn subscribe(&self, filter: &str) -> DefaultGuard {
        tracing::subscriber::set_default(self.subscriber(filter))
    }

    pub(crate) fn subscriber(&self, filter: &str) -> impl Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
