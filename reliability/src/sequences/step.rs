use std::time::Duration;

use cloakroom_store_api::{Age, Lifetime, Persistence};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

/// How many ids a sequence plays with.
pub(crate) const SLOTS: usize = 4;

/// Whom sessions belong to.
pub(crate) const OWNERS: [&str; 2] = ["ann", "bob"];

/// One thing that happens, on one of two nodes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) node: usize,
    pub(crate) act: Act,
}

/// What happens. An id is the number of a slot, so that a sequence can be told before it is run.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Load(usize),
    Save(usize, Revision, Draft),
    Touch(usize, Revision),
    Rotate(usize, usize, Revision, Draft, Age),
    Expire(usize),
    List(usize),
    ExpireOwner(usize, Option<usize>),
    Sweep(u32),
    Stats,
    Pass(Duration),
    /// To so many milliseconds after a session's deadline, if that is ahead.
    PassTo(usize, i64),
    /// Somebody sets the clock, by so many seconds.
    Set(i64),
    Restart,
    Spoil(usize),
}

/// Which revision a caller has, compared with what was stored last under the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    Fresh,
    Stale,
    Ahead,
    New,
    Huge,
}

/// What a record says.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) lifetime: Lifetime,
    pub(crate) owner: Option<usize>,
    pub(crate) note: u8,
}

/// Sequences of up to so many steps.
pub(crate) fn sequences(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..=longest)
}

fn step() -> impl Strategy<Value = Step> {
    (0..2_usize, act()).prop_map(|(node, act)| Step { node, act })
}

fn act() -> impl Strategy<Value = Act> {
    let slot = || 0..SLOTS;
    let owner = || 0..OWNERS.len();
    prop_oneof![
        16 => (slot(), Just(Revision::New), draft()).prop_map(|(id, at, draft)| Act::Save(id, at, draft)),
        12 => slot().prop_map(Act::Load),
        14 => (slot(), revision(), draft()).prop_map(|(id, at, draft)| Act::Save(id, at, draft)),
        8 => (slot(), revision()).prop_map(|(id, at)| Act::Touch(id, at)),
        10 => (slot(), slot(), revision(), draft(), age())
            .prop_map(|(old, new, at, draft, age)| Act::Rotate(old, new, at, draft, age)),
        6 => slot().prop_map(Act::Expire),
        5 => owner().prop_map(Act::List),
        3 => (owner(), prop::option::of(slot())).prop_map(|(owner, but)| Act::ExpireOwner(owner, but)),
        3 => (1..5_u32).prop_map(Act::Sweep),
        2 => Just(Act::Stats),
        5 => prop::sample::select(vec![1, 20, 60, 3_600_000, 7_200_000])
            .prop_map(|millis| Act::Pass(Duration::from_millis(millis))),
        8 => (slot(), -1..=1_i64).prop_map(|(id, off)| Act::PassTo(id, off)),
        2 => prop::sample::select(vec![-7_200, -1, 1, 7_200]).prop_map(Act::Set),
        1 => Just(Act::Restart),
        3 => slot().prop_map(Act::Spoil),
    ]
}

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![
        12 => Just(Revision::Fresh),
        3 => Just(Revision::Stale),
        1 => Just(Revision::Ahead),
        1 => Just(Revision::New),
        1 => Just(Revision::Huge),
    ]
}

fn age() -> impl Strategy<Value = Age> {
    prop_oneof![Just(Age::Keep), Just(Age::Restart)]
}

fn draft() -> impl Strategy<Value = Draft> {
    (lifetime(), prop::option::of(0..OWNERS.len()), any::<u8>()).prop_map(
        |(lifetime, owner, note)| Draft {
            lifetime,
            owner,
            note,
        },
    )
}

/// Mostly long, often so short that a test can wait for the end, sometimes none at all.
fn lifetime() -> impl Strategy<Value = Lifetime> {
    let persistence = prop_oneof![Just(Persistence::Browser), Just(Persistence::Persistent)];
    let millis =
        || prop_oneof![16 => Just(86_400_000_u64), 5 => Just(50), 2 => Just(120), 1 => Just(0)];
    (persistence, millis(), millis()).prop_map(|(persistence, idle, absolute)| {
        Lifetime::new(
            persistence,
            Duration::from_millis(idle),
            Duration::from_millis(absolute),
        )
    })
}
