use std::collections::BTreeSet;

use redis::{
    RedisResult, Value,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo},
};

/// Which masters of a cluster have which slots: the first and the last one, and the master's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topology(BTreeSet<(u16, u16, String)>);

impl Topology {
    /// As that master says that is the first to answer.
    pub(crate) async fn ask(connection: &mut ClusterConnection) -> RedisResult<Self> {
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let any = Some(ResponsePolicy::OneSucceeded);
        let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, any));
        let answer = connection.route_command(slots, all).await?;
        let ranges: Vec<Vec<Value>> = redis::from_redis_value(answer)?;
        Ok(Self(ranges.into_iter().filter_map(range).collect()))
    }
}

/// Reads a range of slots: first, last, a master, its replicas; of a server host, port, id and more.
fn range(range: Vec<Value>) -> Option<(u16, u16, String)> {
    let mut parts = range.into_iter();
    let mut slot = || redis::from_redis_value(parts.next()?).ok();
    let (first, last) = (slot()?, slot()?);
    let master: Vec<Value> = redis::from_redis_value(parts.next()?).ok()?;
    let id = redis::from_redis_value(master.into_iter().nth(2)?).ok()?;
    Some((first, last, id))
}
