use std::sync::Arc;

use cloakroom_store_api::Result;
use futures_util::future::join_all;

use crate::{
    link::{Link, Shared},
    scan::Scan,
};

/// Removes every key of the prefix, one by one: in a cluster they are on different servers.
pub(crate) async fn clear(shared: &Arc<Shared>) -> Result<()> {
    let mut scan = Scan::new(shared, shared.prefix.pattern_of_all()).await?;
    while let Some(mut keys) = scan.page().await? {
        let link = Link::new(shared);
        keys.retain(|key| shared.prefix.owns(key));
        let link = &link;
        let removed = keys.iter().map(|key| async move {
            let mut unlink = redis::cmd("UNLINK");
            unlink.arg(key);
            link.query::<u64>(&unlink).await
        });
        for removed in join_all(removed).await {
            removed?;
        }
    }
    Ok(())
}
