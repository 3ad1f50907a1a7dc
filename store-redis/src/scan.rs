use std::{sync::Arc, vec};

use cloakroom_store_api::Result;

use crate::{
    connections::Server,
    link::{Link, Shared},
};

/// How many keys a page has, about.
const PAGE: usize = 500;

/// All keys that match a pattern, on all servers, page by page. A key may come twice.
pub(crate) struct Scan<'a> {
    shared: &'a Arc<Shared>,
    pattern: String,
    servers: vec::IntoIter<Server>,
    /// The server that is being scanned, and where it goes on.
    at: Option<(Server, u64)>,
}

impl<'a> Scan<'a> {
    pub(crate) async fn new(shared: &'a Arc<Shared>, pattern: String) -> Result<Self> {
        let servers = Link::new(shared).servers().await?;
        Ok(Self {
            shared,
            pattern,
            servers: servers.into_iter(),
            at: None,
        })
    }

    /// The next keys; `None` after the last.
    pub(crate) async fn page(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        let next_server = || Some((self.servers.next()?, 0));
        let Some((server, cursor)) = self.at.take().or_else(next_server) else {
            return Ok(None);
        };
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&self.pattern);
        scan.arg("COUNT").arg(PAGE);
        let link = Link::new(self.shared);
        let (cursor, keys): (u64, _) = link.query_at(&server, &scan).await?;
        if cursor != 0 {
            self.at = Some((server, cursor));
        }
        Ok(Some(keys))
    }
}
