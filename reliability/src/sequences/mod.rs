//! Random calls, one after another, against a model of the contract.
//!
//! Two nodes take turns. Between calls time passes, also to within a millisecond of a deadline,
//! clocks are set, records are damaged and stores reopened, where the store lets that be done.

mod model;
mod moment;
mod run;
mod step;

use std::cell::{Cell, RefCell};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use tokio::runtime::Runtime;

use crate::target::{Kind, Target};
use run::Stage;

/// What a search has come to.
#[derive(Debug)]
pub struct Searched {
    /// How many calls were made, without those that shrank what was found.
    pub calls: u64,
    /// How many sequences these were.
    pub sequences: u64,
    /// The shortest sequence found whose last answer the contract does not allow.
    pub divergence: Option<String>,
}

/// The longest sequence.
const LONGEST: usize = 60;

/// Makes at least so many calls; the same seed makes the same sequences.
///
/// # Panics
///
/// If a store's server is not there.
#[must_use]
pub fn search(runtime: &Runtime, kind: Kind, calls: u64, seed: u64) -> Searched {
    let mut runner = runner(seed);
    let target = Target::new(kind);
    let stage = RefCell::new(None);
    let made = Cell::new(0);
    let mut sequences = 0;
    while made.get() < calls {
        let tree = step::sequences(LONGEST)
            .new_tree(&mut runner)
            .expect("any sequence will do");
        sequences += 1;
        let is_found = Cell::new(false);
        let played = runner.run_one(tree, |steps| {
            let mut open = stage
                .take()
                .unwrap_or_else(|| runtime.block_on(Stage::open(&target)));
            let mut played = runtime.block_on(open.play(&target, &steps));
            played.outcome = played.outcome.and_then(|()| runtime.block_on(open.clear()));
            if !is_found.get() {
                made.set(made.get() + played.calls);
            }
            is_found.set(is_found.get() || played.outcome.is_err());
            played.outcome.map_err(TestCaseError::fail)?;
            // One that went wrong is not used again.
            stage.replace(Some(open));
            Ok(())
        });
        let divergence = match played {
            Ok(_) => continue,
            Err(TestError::Fail(reason, steps)) => {
                let told: Vec<_> = steps.iter().map(|step| format!("{step:?}")).collect();
                format!("{}\n{reason}", told.join("\n"))
            }
            Err(TestError::Abort(reason)) => reason.to_string(),
        };
        return Searched {
            calls: made.get(),
            sequences,
            divergence: Some(divergence),
        };
    }
    Searched {
        calls: made.get(),
        sequences,
        divergence: None,
    }
}

fn runner(seed: u64) -> TestRunner {
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}
