use std::time::{Duration, Instant};

use cloakroom_store_api::Result;
use parking_lot::Mutex;

use crate::link::Link;

/// When the servers' settings were last looked at.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Option<Instant>>);

impl Warnings {
    fn are_due(&self) -> bool {
        let mut last = self.0.lock();
        let due = last.is_none_or(|last| last.elapsed() >= EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// How often a ping looks at the settings.
const EVERY: Duration = Duration::from_mins(10);

pub(crate) async fn ping(link: &Link) -> Result<()> {
    for server in link.servers().await? {
        let _: String = link.query_at(&server, &redis::cmd("PING")).await?;
    }
    if link.shared.warnings.are_due() {
        warn_of_eviction(link).await;
    }
    Ok(())
}

async fn warn_of_eviction(link: &Link) {
    let Ok(servers) = link.servers().await else {
        return;
    };
    for server in servers {
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        // The user may lack the right to ask, which is no failure of the store.
        let Ok(info) = link.query_at::<String>(&server, &ask).await else {
            continue;
        };
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"));
        if let Some(policy) = policy.filter(|&policy| policy != "noeviction") {
            tracing::warn!(
                policy,
                "Redis may end sessions early: set maxmemory-policy to noeviction"
            );
        }
    }
}
