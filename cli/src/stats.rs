use cloakroom_store_api::Stats;
use serde_json::json;

use crate::{
    args::StatsArgs,
    exit::{Failure, Outcome},
    report::{instant, print_as, table},
    store::{Place, READ_ALL_DEADLINE},
};

pub(crate) async fn run(args: StatsArgs) -> Result<Outcome, Failure> {
    let place = Place::new(&args.store)?;
    let deadline = args.store.deadline.unwrap_or(READ_ALL_DEADLINE);
    let store = place.open(deadline).await?;
    let stats = store.sessions().stats().await;
    let stats = stats.map_err(|error| place.failure(&error))?;
    let Stats {
        browser,
        persistent,
        expired,
        oldest_expiry,
    } = stats;
    let oldest = oldest_expiry.map(instant);
    let mut rows = vec![
        ("live", (browser + persistent).to_string()),
        ("  browser-length", browser.to_string()),
        ("  persistent", persistent.to_string()),
        ("ended, not swept", expired.to_string()),
    ];
    rows.extend(oldest.clone().map(|oldest| ("earliest end", oldest)));
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    let object = json!({
        "browser": browser,
        "persistent": persistent,
        "expired": expired,
        "oldest_expiry": oldest,
    });
    print_as(args.format, table(&rows).trim_end(), &object)?;
    Ok(Outcome::Done)
}
