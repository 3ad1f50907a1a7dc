use std::{collections::BTreeMap, future::Future, sync::Arc};

use cloakroom_store_api::{
    Age, Data, Lifetime, Owner, Record, Saved, SessionId, SessionStore, SessionToken,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::target::Node;

/// How many sessions are at work at once.
const LANES: usize = 16;

/// What every session keeps beside its count.
const CANARY: &str = "\"as it was\"";

/// What one of the two processes does. Ids are hexadecimal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Creates sessions of an owner, every second one persistent, each with a count of 0.
    Create {
        /// How many.
        sessions: usize,
        /// Whose.
        owner: String,
    },
    /// Counts one session up, each task so often, by saves that may lose a race and are made again.
    Count {
        /// Which.
        id: String,
        /// How many tasks.
        tasks: u64,
        /// How often each.
        times: u64,
    },
    /// Counts each session up, so often or until it has ended.
    Use {
        /// Which.
        ids: Vec<String>,
        /// How often each.
        times: u64,
        /// Creates anew what has ended, as no process should.
        revives: bool,
    },
    /// Touches each session.
    Touch {
        /// Which.
        ids: Vec<String>,
    },
    /// Gives each session another id.
    Rotate {
        /// Which.
        ids: Vec<String>,
    },
    /// Ends each session.
    End {
        /// Which.
        ids: Vec<String>,
    },
    /// Reads each session.
    Read {
        /// Which.
        ids: Vec<String>,
    },
    /// Reads all sessions of an owner.
    List {
        /// Whose.
        owner: String,
    },
}

/// What became of an order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// The sessions created, listed or rotated; of rotated ones the new ids, in the order asked.
    pub ids: Vec<String>,
    /// The count in each session read; `None` if it is not live.
    pub counts: Vec<Option<u64>>,
    /// Saves and touches that were done.
    pub stored: u64,
    /// Those that lost a race.
    pub conflicts: u64,
    /// Those of a session that had ended.
    pub gone: u64,
    /// Ends of a session that was live.
    pub ended: u64,
}

impl Answer {
    fn add(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.counts.extend(other.counts);
        self.stored += other.stored;
        self.conflicts += other.conflicts;
        self.gone += other.gone;
        self.ended += other.ended;
    }
}

impl Order {
    /// Does it here.
    ///
    /// # Panics
    ///
    /// If the store fails, or has what no order made.
    pub async fn carry_out(self, store: &Arc<Node>) -> Answer {
        match self {
            Self::Create { sessions, owner } => {
                let sessions = (0..sessions).map(|n| n.to_string()).collect();
                each(store, sessions, move |store, n| {
                    create(store, n, owner.clone())
                })
                .await
            }
            Self::Count { id, tasks, times } => {
                let tasks = vec![id; usize::try_from(tasks).expect("a few")];
                each(store, tasks, move |store, id| {
                    count(store, id, times, false)
                })
                .await
            }
            Self::Use {
                ids,
                times,
                revives,
            } => {
                each(store, ids, move |store, id| {
                    count(store, id, times, revives)
                })
                .await
            }
            Self::Touch { ids } => each(store, ids, touch).await,
            Self::Rotate { ids } => each(store, ids, rotate).await,
            Self::End { ids } => each(store, ids, end).await,
            Self::Read { ids } => each(store, ids, read).await,
            Self::List { owner } => {
                let records = store.list(&owner).await.expect("the store answers");
                let ids = records.iter().map(|record| record.id.to_string()).collect();
                Answer {
                    ids,
                    ..Answer::default()
                }
            }
        }
    }
}

/// Does something with each, some at a time, and adds up the answers in their order.
async fn each<F>(
    store: &Arc<Node>,
    items: Vec<String>,
    work: impl Fn(Arc<Node>, String) -> F,
) -> Answer
where
    F: Future<Output = Answer> + Send + 'static,
{
    let mut all = Answer::default();
    for items in items.chunks(LANES) {
        let mut lanes = JoinSet::new();
        for (n, item) in items.iter().enumerate() {
            let answer = work(Arc::clone(store), item.clone());
            lanes.spawn(async move { (n, answer.await) });
        }
        let mut answers = lanes.join_all().await;
        answers.sort_by_key(|(n, _)| *n);
        for (_, answer) in answers {
            all.add(answer);
        }
    }
    all
}

async fn create(store: Arc<Node>, n: String, owner: String) -> Answer {
    let token = SessionToken::generate().expect("there is randomness");
    let lifetime = match n.ends_with(['0', '2', '4', '6', '8']) {
        true => Lifetime::PERSISTENT,
        false => Lifetime::BROWSER,
    };
    let owner: Owner = owner.parse().expect("an owner");
    let record = Record {
        owner: Some(owner),
        data: counted(0),
        ..Record::new(token.id(), lifetime)
    };
    let saved = store.save(&record).await.expect("the store answers");
    assert!(matches!(saved, Saved::Stored(_)), "{saved:?}");
    Answer {
        ids: vec![token.id().to_string()],
        stored: 1,
        ..Answer::default()
    }
}

async fn count(store: Arc<Node>, id: String, times: u64, revives: bool) -> Answer {
    let mut answer = Answer::default();
    while answer.stored < times {
        let Some(record) = load(&store, &id).await else {
            answer.gone += 1;
            break;
        };
        let data = counted(count_of(&record) + 1);
        let next = Record { data, ..record };
        match store.save(&next).await.expect("the store answers") {
            Saved::Stored(_) => answer.stored += 1,
            Saved::Conflict => answer.conflicts += 1,
            Saved::Gone => {
                answer.gone += 1;
                if revives {
                    let anew = Record {
                        revision: 0,
                        ..next
                    };
                    let saved = store.save(&anew).await;
                    let _ = saved.expect("the store answers");
                }
                break;
            }
        }
    }
    answer
}

async fn touch(store: Arc<Node>, id: String) -> Answer {
    let mut answer = Answer::default();
    match load(&store, &id).await {
        None => answer.gone = 1,
        Some(record) => {
            let stamp = store.touch(record.id, record.revision).await;
            match stamp.expect("the store answers") {
                Some(_) => answer.stored = 1,
                None => answer.conflicts = 1,
            }
        }
    }
    answer
}

async fn rotate(store: Arc<Node>, id: String) -> Answer {
    let mut answer = Answer::default();
    let Some(old) = load(&store, &id).await else {
        answer.gone = 1;
        return answer;
    };
    let token = SessionToken::generate().expect("there is randomness");
    let (id, new) = (old.id, token.id());
    let next = Record { id: new, ..old };
    let saved = store.rotate(id, &next, Age::Keep).await;
    match saved.expect("the store answers") {
        Saved::Stored(_) => answer.ids = vec![new.to_string()],
        Saved::Conflict => answer.conflicts = 1,
        Saved::Gone => answer.gone = 1,
    }
    answer
}

async fn end(store: Arc<Node>, id: String) -> Answer {
    let ended = store.expire(parsed(&id)).await;
    Answer {
        ended: u64::from(ended.expect("the store answers")),
        ..Answer::default()
    }
}

async fn read(store: Arc<Node>, id: String) -> Answer {
    let record = load(&store, &id).await;
    Answer {
        counts: vec![record.as_ref().map(count_of)],
        ..Answer::default()
    }
}

async fn load(store: &Node, id: &str) -> Option<Record> {
    store.load(parsed(id)).await.expect("the store answers")
}

fn parsed(id: &str) -> SessionId {
    id.parse().expect("an id")
}

fn counted(count: u64) -> Data {
    let count = count.to_string();
    let entries = BTreeMap::from([("canary", CANARY), ("count", &count)]);
    Data::new(&entries).expect("it is small")
}

/// What was counted, in a session with all its entries.
fn count_of(record: &Record) -> u64 {
    assert_eq!(record.data.get("canary"), Some(CANARY));
    let count = record.data.get("count").expect("all have one");
    count.parse().expect("a number")
}
