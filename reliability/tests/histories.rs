//! Many callers at once on every store. Needs servers: `scripts/with-servers`.

use cloakroom_reliability::{
    Flaw,
    histories::{Size, record},
    target::Kind,
};
use tokio::runtime::Runtime;

async fn is_explained(kind: Kind, histories: u64) {
    let (mut calls, mut lost) = (0, 0);
    for seed in 1..=histories {
        let recorded = record(kind, Size::USUAL, seed).await;
        calls += recorded.calls;
        lost += recorded.lost;
        if let Some(violation) = recorded.violation {
            panic!("seed {seed}: {violation}");
        }
    }
    println!("histories={histories} ops={calls} lost_answers={lost} non_linearizable=0");
}

macro_rules! histories {
    ($($test:ident: $kind:ident $histories:literal;)*) => {$(
        #[test]
        fn $test() {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(is_explained(Kind::$kind, $histories));
        }
    )*};
}

histories! {
    an_order_explains_what_memory_answers: Memory 20;
    an_order_explains_what_sled_answers: Sled 5;
    an_order_explains_what_postgres_answers: Postgres 5;
    an_order_explains_what_redis_answers: Redis 5;
    an_order_explains_what_a_redis_cluster_answers: RedisCluster 5;
}

#[test]
fn an_order_explains_what_a_right_store_answers() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(is_explained(Kind::Broken(Flaw::None), 20));
}

/// Whatever shows in what callers are told.
#[test]
fn no_order_explains_what_a_wrong_store_answers() {
    let runtime = Runtime::new().unwrap();
    for flaw in [
        Flaw::UpsertOnSave,
        Flaw::CheckThenSet,
        Flaw::InsertWhenTheUpdateFindsNothing,
        Flaw::StoredForARefusedSave,
        Flaw::TouchIgnoresTheRevision,
        Flaw::RotateAsDeleteThenCreate,
        Flaw::RotateAsCreateThenDelete,
        Flaw::RotateKeepsTheOldOwner,
        Flaw::ExpireOwnerByAListReadBefore,
    ] {
        let found = (1..=50).find(|seed| {
            let recorded = runtime.block_on(record(Kind::Broken(flaw), Size::USUAL, *seed));
            recorded.violation.is_some()
        });
        println!("flaw={flaw:?} found_in_history={found:?}");
        assert!(found.is_some(), "{flaw:?} was not found");
    }
}
