//! What many callers at once were answered, searched for an order that explains it.
//!
//! Tasks on two nodes call one store; each call is noted with when it began and ended. For each id
//! there has to be one order of the calls that concern it, in which none comes before one that
//! had ended when it began, and in which each answer is right. A call that was dropped, or failed
//! as unavailable, may have been done at any time after it began, or never.

mod calls;
mod linear;
mod view;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use cloakroom_store_api::{Error, SessionId, SessionStore, conformance::Subject};
use tokio::task::{JoinSet, yield_now};

use crate::{
    Answer, Call,
    target::{Kind, Target},
};
use calls::{Caller, Slots};

/// A call, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) call: Call,
    /// `None` if it was lost.
    pub(crate) answer: Option<Answer>,
    pub(crate) began: u64,
    /// `u64::MAX` if it may still be going on.
    pub(crate) ended: u64,
}

/// How large one history is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many tasks call.
    pub tasks: usize,
    /// How many calls each makes.
    pub calls: usize,
    /// How many ids they share at a time.
    pub ids: usize,
}

/// What callers do with ids and owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habits {
    /// Ids are used again as soon as they are free, and any save may name another owner.
    Free,
    /// As the middleware does: an id is used once, and the owner changes only with the id.
    Usual,
}

impl Habits {
    /// The freest that the store can bear.
    ///
    /// Redis enters a session in its owner's index before it stores it and takes it out after it
    /// has ended. So one that leaves its owner can take out the entry of one that comes to the
    /// same owner under the same id at the same time.
    #[must_use]
    pub const fn freest(kind: Kind) -> Self {
        match kind {
            Kind::Redis | Kind::RedisCluster => Self::Usual,
            _ => Self::Free,
        }
    }
}

impl Size {
    /// Eight tasks with 200 calls each on four ids.
    pub const USUAL: Self = Self {
        tasks: 8,
        calls: 200,
        ids: 4,
    };
}

/// What a history has come to.
#[derive(Debug, Default)]
pub struct Recorded {
    /// How many calls were made.
    pub calls: u64,
    /// How many of them had no answer.
    pub lost: u64,
    /// For the first id whose calls no order explains, how far an order comes.
    pub violation: Option<String>,
}

/// Records one history and searches it.
///
/// # Panics
///
/// If a store's server is not there, or fails otherwise than by being unavailable.
pub async fn record(kind: Kind, size: Size, seed: u64) -> Recorded {
    let target = Target::new(kind);
    let store = target.store().await;
    let node = target.node(&store).await;
    let nodes = [Arc::new(store), Arc::new(node)];
    let mut rng = fastrand::Rng::with_seed(seed);
    let slots = Arc::new(Slots::new(size.ids, &mut rng));
    let habits = Habits::freest(kind);
    let clock = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..size.tasks {
        let caller = Caller::new(task, habits, Arc::clone(&slots), rng.fork());
        let (store, clock) = (Arc::clone(&nodes[task % 2]), Arc::clone(&clock));
        tasks.spawn(calling(caller, store, clock, size.calls));
    }
    let history: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let lost = history.iter().filter(|noted| noted.answer.is_none());
    Recorded {
        calls: history.len() as u64,
        lost: lost.count() as u64,
        violation: ids(&history).into_iter().find_map(|id| {
            let seen = view::of(&history, id, kind == Kind::RedisCluster);
            linear::unexplained(&seen).map(|why| format!("session {id}: {why}"))
        }),
    }
}

/// All that anybody wanted to store.
fn ids(history: &[Noted]) -> BTreeSet<SessionId> {
    let calls = history.iter().map(|noted| &noted.call);
    calls
        .filter_map(|call| match call {
            Call::Save(record) | Call::Rotate(_, record, _) => Some(record.id),
            _ => None,
        })
        .collect()
}

async fn calling(
    mut caller: Caller,
    store: Arc<impl SessionStore>,
    clock: Arc<AtomicU64>,
    calls: usize,
) -> Vec<Noted> {
    let mut history = Vec::with_capacity(calls);
    for _ in 0..calls {
        let call = caller.next();
        let patience = caller.patience();
        let began = clock.fetch_add(1, SeqCst);
        let answer = tokio::select! {
            answer = call.on(&store) => match answer {
                Ok(answer) => Some(answer),
                Err(Error::Unavailable(_)) => None,
                Err(error) => panic!("{call:?} failed: {error:?}"),
            },
            () = yields(patience) => None,
        };
        let ended = match answer {
            Some(_) => clock.fetch_add(1, SeqCst),
            None => u64::MAX,
        };
        if let Some(answer) = &answer {
            caller.learn(&call, answer);
        }
        history.push(Noted {
            call,
            answer,
            began,
            ended,
        });
    }
    history
}

/// Lets others go first so often, or for ever.
async fn yields(times: Option<u32>) {
    let Some(times) = times else {
        return std::future::pending().await;
    };
    for _ in 0..times {
        yield_now().await;
    }
}
