//! What goes wrong.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::Method;
use cloakroom_test_support::{Cut, Postgres, Proxy, Way};
use tokio::time::sleep;

use crate::{
    client::{Answer, Browser},
    nodes::Node,
};

/// How long something is frozen or silent.
const PAUSE: Duration = Duration::from_secs(5);

/// By how much a calendar is wrong, in seconds.
const STEP: i64 = 600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    ServerFrozen,
    ServerKilled,
    ConnectionsCut,
    AnswersCut,
    NetworkSilent,
    NodeKilled,
    NodeFrozen,
    ClockAhead,
    ClockBehind,
}

impl Fault {
    pub(crate) const ALL: [Self; 9] = [
        Self::ServerFrozen,
        Self::ServerKilled,
        Self::ConnectionsCut,
        Self::AnswersCut,
        Self::NetworkSilent,
        Self::NodeKilled,
        Self::NodeFrozen,
        Self::ClockAhead,
        Self::ClockBehind,
    ];

    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::ServerFrozen => "PostgreSQL stopped for 5 s",
            Self::ServerKilled => "PostgreSQL killed -9, and started again",
            Self::ConnectionsCut => "all connections to it cut",
            Self::AnswersCut => "20 connections cut before an answer",
            Self::NetworkSilent => "nothing gets through to it for 5 s",
            Self::NodeKilled => "an application process killed -9, and started again",
            Self::NodeFrozen => "an application process stopped for 5 s",
            Self::ClockAhead => "an application's clock put 10 minutes ahead",
            Self::ClockBehind => "an application's clock put 10 minutes back",
        }
    }

    /// Lets it happen, and mends it.
    pub(crate) async fn happen(self, server: &mut Postgres, proxy: &Proxy, nodes: &[Node; 2]) {
        let node = fastrand::choice(nodes).expect("there are two");
        match self {
            Self::ServerFrozen => {
                server.process().freeze();
                sleep(PAUSE).await;
                server.process().thaw();
            }
            Self::ServerKilled => tokio::task::block_in_place(|| {
                server.kill();
                server.start_again();
            }),
            Self::ConnectionsCut => proxy.cut_all(),
            Self::AnswersCut => {
                for _ in 0..20 {
                    proxy.cut_next(Cut::BeforeReply);
                    sleep(Duration::from_millis(100)).await;
                }
                proxy.spare();
            }
            Self::NetworkSilent => {
                proxy.set(Way::Silent);
                sleep(PAUSE).await;
                proxy.set(Way::Open);
            }
            Self::NodeKilled => {
                tokio::task::block_in_place(|| node.kill());
                sleep(Duration::from_secs(1)).await;
                tokio::task::block_in_place(|| node.start_again());
            }
            Self::NodeFrozen => node.freeze(PAUSE).await,
            Self::ClockAhead => step(node, STEP).await,
            Self::ClockBehind => step(node, -STEP).await,
        }
    }
}

/// A clock that was not wrong would show nothing.
async fn step(node: &Node, seconds: i64) {
    node.set_clock(seconds);
    let began = Instant::now();
    while (ahead(node).await - seconds).abs() > 5 {
        assert!(
            began.elapsed() < PAUSE,
            "the clock is not {seconds} s ahead"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// By how many seconds an application's clock is ahead of this one.
async fn ahead(node: &Node) -> i64 {
    let address = node.address().expect("it is alive");
    let Answer::Ok(theirs) = Browser::new().ask(address, Method::GET, "/clock").await else {
        return 0;
    };
    let ours = SystemTime::now().duration_since(UNIX_EPOCH);
    let ours = ours.expect("it is later").as_secs().cast_signed();
    theirs.parse::<i64>().expect("a number") - ours
}
