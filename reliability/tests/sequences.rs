//! Random calls on every store. Needs servers: `scripts/with-servers`.

use cloakroom_reliability::{Flaw, sequences::search, target::Kind};
use tokio::runtime::Runtime;

const SEED: u64 = 1;

fn diverges_never(kind: Kind, calls: u64) {
    let runtime = Runtime::new().unwrap();
    let searched = search(&runtime, kind, calls, SEED);
    let divergences = u32::from(searched.divergence.is_some());
    println!(
        "ops={} sequences={} seed={SEED} divergences={divergences}",
        searched.calls, searched.sequences
    );
    if let Some(divergence) = searched.divergence {
        panic!("{divergence}");
    }
}

#[test]
fn memory_does_what_the_contract_says() {
    diverges_never(Kind::Memory, 20_000);
}

#[test]
fn sled_does_what_the_contract_says() {
    diverges_never(Kind::Sled, 5_000);
}

#[test]
fn postgres_does_what_the_contract_says() {
    diverges_never(Kind::Postgres, 2_000);
}

#[test]
fn redis_does_what_the_contract_says() {
    diverges_never(Kind::Redis, 2_000);
}

#[test]
fn a_redis_cluster_does_what_the_contract_says() {
    diverges_never(Kind::RedisCluster, 2_000);
}

#[test]
fn a_store_that_is_right_is_found_right() {
    diverges_never(Kind::Broken(Flaw::None), 20_000);
}

/// Whatever is wrong when one caller is alone.
#[test]
fn every_store_that_is_wrong_is_found_out() {
    let runtime = Runtime::new().unwrap();
    for flaw in [
        Flaw::UpsertOnSave,
        Flaw::InsertWhenTheUpdateFindsNothing,
        Flaw::CreatedAtMoves,
        Flaw::StoredForARefusedSave,
        Flaw::TouchRevives,
        Flaw::TouchPassesTheAbsoluteTimeout,
        Flaw::TouchIgnoresTheRevision,
        Flaw::LoadWithoutTheExpiryCheck,
        Flaw::LessOrEqual,
        Flaw::CallersClock,
        Flaw::RotateKeepsTheOldOwner,
        Flaw::ErrorsForTheUnreadable,
    ] {
        let searched = search(&runtime, Kind::Broken(flaw), 20_000, SEED);
        println!("flaw={flaw:?} found_after_ops={}", searched.calls);
        assert!(searched.divergence.is_some(), "{flaw:?} was not found");
    }
}
