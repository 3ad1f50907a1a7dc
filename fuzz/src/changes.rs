use std::collections::BTreeMap;

use cloakroom::{MemoryStore, Session, SessionLayer};
use http::HeaderValue;

use crate::requests::{Pending, runtime, token};

const KEYS: [&str; 3] = ["a", "b", "c"];

type Entries = BTreeMap<&'static str, u64>;

/// What a request does to an entry.
#[derive(Clone, Copy, Debug)]
enum Step {
    Set(&'static str, u64),
    Add(&'static str, u64),
    Remove(&'static str),
    Take(&'static str),
    Clear,
    Commit,
}

/// Two requests change one session at once, in any order, and commit in between and at their end.
/// What is stored is what each did since its last commit, done to what was there by then; unless
/// that made no difference to what the request itself had seen.
pub fn changes(input: &[u8]) {
    runtime().block_on(async {
        let layer = SessionLayer::new(MemoryStore::new());
        let first = Pending::begin(&layer, Vec::new()).await;
        first.session.insert("a", &1_u64).expect("it is small");
        let token = token(&first.end().await).expect("a new session has a cookie");
        let cookie = HeaderValue::try_from(format!("__Host-id={token}")).expect("it is ASCII");
        let requests = [
            Pending::begin(&layer, vec![cookie.clone()]).await,
            Pending::begin(&layer, vec![cookie.clone()]).await,
        ];
        let mut stored = Entries::from([("a", 1)]);
        let mut views = [View::of(&stored), View::of(&stored)];
        for step in input.chunks_exact(2) {
            let who = usize::from(step[0] >> 7);
            let (session, view) = (&requests[who].session, &mut views[who]);
            let step = Step::of(step[0], step[1]);
            view.see(step, &mut stored);
            act(session, step).await;
            assert_eq!(entries(session), view.entries, "after {step:?}");
        }
        for (request, mut view) in requests.into_iter().zip(views) {
            let response = request.end().await;
            assert_eq!(response.status(), 200);
            view.see(Step::Commit, &mut stored);
        }
        let after = Pending::begin(&layer, vec![cookie]).await;
        assert_eq!(entries(&after.session), stored);
        after.end().await;
    });
}

impl Step {
    fn of(what: u8, value: u8) -> Self {
        let key = KEYS[usize::from(what >> 3) % KEYS.len()];
        let value = u64::from(value);
        match what & 7 {
            0 | 1 => Self::Set(key, value),
            2 | 3 => Self::Add(key, value),
            4 => Self::Remove(key),
            5 => Self::Take(key),
            6 => Self::Clear,
            _ => Self::Commit,
        }
    }
}

/// What a request sees, what it has loaded, and what it did since then.
struct View {
    entries: Entries,
    loaded: Entries,
    done: Vec<Step>,
}

impl View {
    fn of(stored: &Entries) -> Self {
        Self {
            entries: stored.clone(),
            loaded: stored.clone(),
            done: Vec::new(),
        }
    }

    fn see(&mut self, step: Step, stored: &mut Entries) {
        match step {
            Step::Commit if self.entries == self.loaded => return self.done.clear(),
            Step::Commit => {
                for step in self.done.drain(..) {
                    apply(step, stored);
                }
                self.entries.clone_from(stored);
                return self.loaded.clone_from(stored);
            }
            // Who finds nothing has done nothing.
            Step::Take(key) if !self.entries.contains_key(key) => return,
            _ => self.done.push(step),
        }
        apply(step, &mut self.entries);
    }
}

fn apply(step: Step, entries: &mut Entries) {
    match step {
        Step::Set(key, value) => drop(entries.insert(key, value)),
        Step::Add(key, value) => *entries.entry(key).or_default() += value,
        Step::Remove(key) | Step::Take(key) => drop(entries.remove(key)),
        Step::Clear => entries.clear(),
        Step::Commit => unreachable!("it is no change"),
    }
}

async fn act(session: &Session, step: Step) {
    match step {
        Step::Set(key, value) => session.insert(key, &value).expect("it is small"),
        Step::Add(key, value) => {
            let add = move |before: Option<u64>| before.unwrap_or_default() + value;
            session.update(key, add).expect("it is a number");
        }
        Step::Remove(key) => session.remove(key),
        Step::Take(key) => drop(session.take::<u64>(key).expect("it is a number")),
        Step::Clear => session.clear(),
        Step::Commit => drop(session.commit().await.expect("memory does not fail")),
    }
}

fn entries(session: &Session) -> Entries {
    let found = KEYS
        .iter()
        .filter_map(|key| Some((*key, session.get(*key).expect("a number")?)));
    let found: Entries = found.collect();
    let keys: Vec<_> = found.keys().map(ToString::to_string).collect();
    assert_eq!(session.keys(), keys);
    found
}
