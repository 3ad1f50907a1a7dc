//! What a ping warns of.

use std::sync::{Arc, Mutex};

use cloakroom_store_api::SessionStore;
use tracing::{Event, Metadata, Subscriber, field, span};

use crate::servers::OwnServer;

/// Keeps what is logged, field by field.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("cloakroom")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fields<'a>(&'a mut String);

impl field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        *self.0 += &format!("{field}={value:?} ");
    }
}

#[tokio::test]
async fn a_ping_warns_of_an_eviction_policy_once_in_a_while() {
    for (policy, warnings) in [("allkeys-lru", 1), ("volatile-ttl", 1), ("noeviction", 0)] {
        let own = OwnServer::start(&format!("--maxmemory-policy {policy}")).await;
        let store = own.fresh().connect().await.unwrap();
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        for _ in 0..3 {
            store.ping().await.unwrap();
        }
        let logged = log.0.lock().unwrap().clone();
        assert_eq!(logged.matches(policy).count(), warnings, "{logged}");
        assert_eq!(logged.matches("noeviction").count(), warnings, "{logged}");
    }
}
