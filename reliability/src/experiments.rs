//! What is tried at full size, on which stores, and which broken store shows that it can fail.

use std::fmt;

use cloakroom_store_api::conformance;
use tokio::runtime::Runtime;

use crate::{
    Flaw,
    histories::{Size, record},
    sequences::search,
    target::{Kind, Target},
};

/// Something that is tried on every store.
#[derive(Clone, Copy)]
pub struct Experiment {
    /// By what it is called.
    pub name: &'static str,
    /// What it tries, in a sentence.
    pub about: &'static str,
    /// How large it is: calls, histories, or what the kit's race calls rounds.
    pub size: u64,
    /// A broken store in which it has to find something, and how large it is there.
    pub flaw: (Flaw, u64),
    run: Run,
}

#[derive(Clone, Copy)]
enum Run {
    Sequences,
    Histories,
    /// A race of the conformance kit.
    Race(fn(Target)),
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! races {
    ($($race:ident: $size:literal, $flaw:ident $flawed:literal, $about:literal;)*) => {
        [$(Experiment {
            name: stringify!($race),
            about: $about,
            size: $size,
            flaw: (Flaw::$flaw, $flawed),
            run: Run::Race(|target| conformance::run(conformance::races::$race(target))),
        }),*]
    };
}

const RACES: [Experiment; 12] = races! {
    sixteen_writers_lose_nothing: 500, CheckThenSet 25,
        "16 writers count up one entry, 500 times each";
    an_end_beats_a_late_save: 10_000, CheckThenSet 2_000,
        "a session is ended while it is saved";
    an_end_beats_a_late_touch: 10_000, TouchWritesBackWhatItRead 2_000,
        "a session is ended while it is touched";
    an_end_beats_a_late_rotation: 10_000, RotateAsCreateThenDelete 500,
        "a session is ended while it is rotated";
    of_many_creators_one_wins: 2_000, CheckThenSet 100,
        "8 tasks create the same id";
    a_rotation_beats_a_late_save: 5_000, CheckThenSet 500,
        "a session is rotated while it is saved";
    of_two_rotations_one_wins: 5_000, RotateAsCreateThenDelete 500,
        "a session is rotated twice at once";
    a_rotation_is_never_seen_twice: 5_000, RotateAsCreateThenDelete 500,
        "somebody looks for the session under both ids while it is rotated";
    no_session_survives_the_end_of_its_owner: 1_000, ExpireOwnerByAListReadBefore 100,
        "all sessions of a user are ended while they are saved, touched and rotated";
    a_sweep_spares_a_touched_session: 40_000, SweepWhatIsAboutToDie 640,
        "sessions are touched at their last moment while two sweepers run";
    a_sweep_spares_a_session_created_anew: 25_000, SweepByAListReadBefore 400,
        "sessions are created over dead leftovers while two sweepers run";
    no_expired_session_is_served: 10_000, LessOrEqual 256,
        "sessions expire and nobody sweeps; where the clock can be turned, each lives until a millisecond before";
};

impl Experiment {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let searches = [
            Self {
                name: "sequences",
                about: "random calls, one after another, against a model of the contract",
                size: 100_000,
                flaw: (Flaw::LessOrEqual, 20_000),
                run: Run::Sequences,
            },
            Self {
                name: "histories",
                about: "8 tasks make 200 calls each on 4 sessions; an order has to explain every answer",
                size: 100,
                flaw: (Flaw::CheckThenSet, 10),
                run: Run::Histories,
            },
        ];
        searches.into_iter().chain(RACES)
    }

    /// How large it is on a store. Where time cannot be turned, it has to be waited for.
    #[must_use]
    pub fn size_on(&self, kind: Kind) -> u64 {
        match (kind, &self.run) {
            (Kind::Broken(_), _) => self.flaw.1,
            (kind, Run::Sequences) if !kind.has_clock() => self.size / 5,
            // The kit gives a race that waits in each round fewer of them.
            (kind, _)
                if kind.has_clock() && self.name == "a_sweep_spares_a_session_created_anew" =>
            {
                self.size / 20
            }
            _ => self.size,
        }
    }

    /// Runs it, and prints the figures. A race of the kit takes its size from
    /// `CLOAKROOM_ROUNDS`, and its seed from chance.
    ///
    /// # Panics
    ///
    /// If the store is not right.
    pub fn run(&self, kind: Kind, seed: u64) {
        let size = self.size_on(kind);
        match self.run {
            Run::Sequences => {
                let runtime = Runtime::new().expect("a runtime can be started");
                let searched = search(&runtime, kind, size, seed);
                let divergences = u32::from(searched.divergence.is_some());
                println!(
                    "ops={} sequences={} divergences={divergences}",
                    searched.calls, searched.sequences
                );
                if let Some(divergence) = searched.divergence {
                    panic!("{divergence}");
                }
            }
            Run::Histories => {
                let runtime = Runtime::new().expect("a runtime can be started");
                runtime.block_on(histories(kind, size, seed));
            }
            Run::Race(race) => race(Target::new(kind)),
        }
    }

    /// Whether its seed decides what it tries.
    #[must_use]
    pub const fn has_seed(&self) -> bool {
        !matches!(self.run, Run::Race(_))
    }
}

async fn histories(kind: Kind, histories: u64, seed: u64) {
    let (mut calls, mut lost, mut violations) = (0, 0, Vec::new());
    for n in 0..histories {
        let recorded = record(kind, Size::USUAL, seed + n).await;
        calls += recorded.calls;
        lost += recorded.lost;
        violations.extend(recorded.violation);
    }
    let wrong = violations.len();
    println!("histories={histories} ops={calls} lost_answers={lost} non_linearizable={wrong}");
    if let Some(violation) = violations.first() {
        panic!("{violation}");
    }
}
