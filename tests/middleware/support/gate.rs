use std::sync::Arc;

use tokio::sync::Notify;

/// Where a handler waits until the test lets it go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Notify, Notify)>);

impl Gate {
    /// In the handler: says that it is here, and waits.
    pub(crate) async fn pass(&self) {
        let (reached, opened) = &*self.0;
        reached.notify_one();
        opened.notified().await;
    }

    /// In the test: waits until a handler is here.
    pub(crate) async fn reached(&self) {
        self.0.0.notified().await;
    }

    /// In the test: lets one handler go on.
    pub(crate) fn open(&self) {
        self.0.1.notify_one();
    }
}
