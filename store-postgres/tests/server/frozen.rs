//! A server that stops answering, and answers again.

use std::{sync::Arc, time::Duration};

use cloakroom_store_api::SessionStore;
use cloakroom_test_support::{Callers, Postgres, Proxy, Way};
use tokio::time::sleep;

use crate::support::{migrated, named, record, stored};

const DEADLINE: Duration = Duration::from_secs(2);
const CALLERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_hangs_nobody_and_signs_nobody_out() {
    let server = Postgres::start();
    let proxy = Proxy::start(server.address()).await;
    let (builder, _) = named(&server.url_at(proxy.address()));
    let store = migrated(builder.deadline(DEADLINE)).await;
    let mut records = Vec::new();
    for _ in 0..CALLERS {
        records.push(stored(&store, record()).await);
    }

    let store: Arc<dyn SessionStore> = Arc::new(store);
    let callers = Callers::start(&store, &records);
    server.process().freeze();
    sleep(Duration::from_secs(10)).await;
    server.process().thaw();
    callers.recover("frozen_s=10", DEADLINE).await;

    let callers = Callers::start(&store, &records);
    proxy.set(Way::Silent);
    sleep(2 * DEADLINE).await;
    proxy.set(Way::Open);
    callers.recover("silent_s=4", DEADLINE).await;
}
