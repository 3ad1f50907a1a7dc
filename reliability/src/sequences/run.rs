use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use cloakroom_store_api::{
    Clock, Data, Lifetime, Record, Saved, SessionId, SessionStore, Timestamp, conformance::Subject,
};

use super::{
    model::Model,
    moment::Watch,
    step::{Act, Draft, OWNERS, Revision, SLOTS, Step},
};
use crate::{
    Answer, Call,
    target::{Node, Target},
};

/// Two nodes of a store with nothing in it, and what is known of its clock.
#[derive(Debug)]
pub(crate) struct Stage {
    nodes: Option<[Node; 2]>,
    watch: Watch,
    ids: [SessionId; SLOTS],
    /// The revision that was last stored under each id.
    revisions: [u64; SLOTS],
    model: Model,
}

/// What became of a sequence.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) calls: u64,
    pub(crate) outcome: Result<(), String>,
}

/// Where no clock can be turned, the longest that a sequence waits.
const LONGEST_WAIT: Duration = Duration::from_millis(130);

impl Stage {
    pub(crate) async fn open(target: &Target) -> Self {
        let store = target.store().await;
        let node = target.node(&store).await;
        let watch = match target.clock() {
            Some(clock) => Watch::turned(clock),
            None => watch(&store).await,
        };
        let mut stage = Self {
            nodes: Some([store, node]),
            watch,
            ids: std::array::from_fn(|_| new_id()),
            revisions: [0; SLOTS],
            model: Model::default(),
        };
        stage.compare_clocks(target).await;
        stage
    }

    /// Finds out how far the nodes' ideas of the time are apart.
    async fn compare_clocks(&mut self, target: &Target) {
        if target.clock().is_none() {
            for node in self.nodes.as_ref().expect("it is open") {
                self.watch.allow(&watch(node).await);
            }
        }
    }

    pub(crate) async fn play(&mut self, target: &Target, steps: &[Step]) -> Played {
        let mut calls = 0;
        for (n, step) in steps.iter().enumerate() {
            let made = match self.call(&step.act) {
                Some(call) => {
                    calls += 1;
                    self.make(&call, step.node).await
                }
                None => self.happen(target, &step.act).await,
            };
            if let Err(what) = made {
                let outcome = Err(format!("step {}: {what}", n + 1));
                return Played { calls, outcome };
            }
        }
        let outcome = Ok(());
        Played { calls, outcome }
    }

    /// Ends all sessions, and begins with other ids.
    pub(crate) async fn clear(&mut self) -> Result<(), String> {
        for id in self.ids {
            self.make(&Call::Expire(id), 0).await?;
        }
        self.make(&Call::Stats, 0).await?;
        self.model = Model::default();
        self.watch.cleared();
        self.ids = std::array::from_fn(|_| new_id());
        self.revisions = [0; SLOTS];
        Ok(())
    }

    /// What an act asks the store, if it is a call.
    fn call(&self, act: &Act) -> Option<Call> {
        let id = |slot: &usize| self.ids[*slot];
        let call = match act {
            Act::Load(slot) => Call::Load(id(slot)),
            Act::Save(slot, at, draft) => Call::Save(self.record(*slot, *slot, *at, draft)),
            Act::Touch(slot, at) => Call::Touch(id(slot), self.revision(*slot, *at)),
            Act::Rotate(old, new, at, draft, age) => {
                Call::Rotate(id(old), self.record(*new, *old, *at, draft), *age)
            }
            Act::Expire(slot) => Call::Expire(id(slot)),
            Act::List(owner) => Call::List(OWNERS[*owner].into()),
            Act::ExpireOwner(owner, except) => {
                Call::ExpireOwner(OWNERS[*owner].into(), except.as_ref().map(id))
            }
            Act::Sweep(limit) => Call::Sweep(NonZeroU32::new(*limit)?),
            Act::Stats => Call::Stats,
            Act::Pass(_) | Act::PassTo(..) | Act::Set(_) | Act::Restart | Act::Spoil(_) => {
                return None;
            }
        };
        // A damaged record can be loaded, as an error, and ended. The rest is up to the store.
        let about = match &call {
            Call::Save(record) => vec![record.id],
            Call::Touch(id, _) => vec![*id],
            Call::Rotate(old, record, _) => vec![*old, record.id],
            _ => Vec::new(),
        };
        let spoiled = about.into_iter().find(|id| self.model.is_spoiled(*id));
        Some(spoiled.map_or(call, Call::Expire))
    }

    fn record(&self, id: usize, from: usize, at: Revision, draft: &Draft) -> Record {
        let note = draft.note.to_string();
        Record {
            revision: self.revision(from, at),
            owner: draft
                .owner
                .map(|owner| OWNERS[owner].parse().expect("an owner")),
            data: Data::new(&BTreeMap::from([("note", &*note)])).expect("it is short"),
            ..Record::new(self.ids[id], draft.lifetime)
        }
    }

    fn revision(&self, slot: usize, at: Revision) -> u64 {
        let last = self.revisions[slot];
        match at {
            Revision::Fresh => last,
            Revision::Stale => last.saturating_sub(1),
            Revision::Ahead => last + 1,
            Revision::New => 0,
            Revision::Huge => 1 << 63 | last,
        }
    }

    async fn make(&mut self, call: &Call, node: usize) -> Result<(), String> {
        let node = &self.nodes.as_ref().expect("it is open")[node];
        let before = self.watch.now();
        let answer = call.on(node).await;
        let at = self.watch.since(before);
        let answer = answer.map_err(|error| format!("{call:?} failed: {error:?}"))?;
        let known = self.model.clone();
        if !self.model.allows(call, &answer, &at) {
            return Err(format!(
                "{call:?}\n  answered {answer:?}\n  at {at:?}\n  but known is {known:#?}"
            ));
        }
        self.learn(call, &answer, before);
        Ok(())
    }

    fn learn(&mut self, call: &Call, answer: &Answer, before: Timestamp) {
        if let (Call::Save(record) | Call::Rotate(_, record, _), Answer::Saved(Saved::Stored(_))) =
            (call, answer)
            && let Some(slot) = self.ids.iter().position(|id| *id == record.id)
        {
            self.revisions[slot] = record.revision + 1;
            self.watch.stored_since(before);
        }
    }

    /// Does what is not a call.
    async fn happen(&mut self, target: &Target, act: &Act) -> Result<(), String> {
        match act {
            Act::Pass(duration) => pass(target, *duration).await,
            Act::PassTo(slot, off) => {
                if let Some(kept) = self.model.kept(self.ids[*slot]) {
                    let ahead = kept.expires_at.as_millis() - self.watch.now().as_millis() + off;
                    let ahead = Duration::from_millis(ahead.try_into().unwrap_or(0));
                    if target.clock().is_some() || ahead < LONGEST_WAIT {
                        pass(target, ahead).await;
                    }
                }
            }
            Act::Set(seconds) => {
                if let Some(clock) = target.clock() {
                    let by = Duration::from_secs(seconds.unsigned_abs());
                    let wall = clock.wall();
                    clock.set_wall(if *seconds < 0 { wall - by } else { wall + by });
                    // A store does not know of a clock that nobody reads, and a load that misses may not.
                    self.make(&Call::Sweep(NonZeroU32::MIN), 0).await?;
                }
            }
            Act::Restart => {
                let nodes = self.nodes.take().expect("it is open");
                self.nodes = Some(target.reopened(nodes).await);
                self.compare_clocks(target).await;
            }
            Act::Spoil(slot) => {
                let id = self.ids[*slot];
                let now = self.watch.now();
                let at = self.watch.since(now);
                let lives_on = self
                    .model
                    .kept(id)
                    .is_some_and(|kept| kept.surely_lives_on(&at));
                if lives_on {
                    let nodes = self.nodes.as_ref().expect("it is open");
                    target.spoil(&nodes[0], id).await;
                    self.model.spoil(id);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

async fn pass(target: &Target, duration: Duration) {
    let most = if target.clock().is_some() {
        Duration::MAX
    } else {
        LONGEST_WAIT
    };
    target.pass(duration.min(most)).await;
}

/// Compares a store's clock with this process's, by the quickest of some calls.
async fn watch(store: &Node) -> Watch {
    let mut best: Option<(Duration, Watch)> = None;
    for _ in 0..20 {
        let record = Record::new(new_id(), Lifetime::BROWSER);
        let began = Instant::now();
        let saved = store.save(&record).await.expect("the server answers");
        let took = began.elapsed();
        let Saved::Stored(stamp) = saved else {
            panic!("a new session was answered with {saved:?}");
        };
        store.expire(record.id).await.expect("the server answers");
        if best.as_ref().is_none_or(|(best, _)| took < *best) {
            best = Some((took, Watch::going(began, took, &stamp)));
        }
    }
    best.expect("there were calls").1
}

fn new_id() -> SessionId {
    SessionId::from_bytes(fastrand::u128(..).to_be_bytes())
}
