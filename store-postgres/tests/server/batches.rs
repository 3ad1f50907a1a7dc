//! Calls that share a statement.

use std::time::Duration;

use cloakroom_store_api::{Error, Lifetime, Persistence, Record, Saved, SessionStore};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::task::JoinSet;

use crate::support::{connection, fresh, migrated, owned, stored};

/// What becomes of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stored,
    Conflict,
    /// There is no such session.
    Gone,
    /// Its new deadline has passed.
    Late,
}

const FATES: [Fate; 4] = [Fate::Stored, Fate::Conflict, Fate::Gone, Fate::Late];

impl Fate {
    fn of(self, found: Record) -> Record {
        let absolute = Duration::from_millis(1);
        match self {
            Self::Stored => found,
            Self::Conflict => Record {
                revision: 2,
                ..found
            },
            Self::Gone => Record {
                id: owned("ann").id,
                ..found
            },
            Self::Late => Record {
                lifetime: Lifetime::new(Persistence::Browser, absolute, absolute),
                ..found
            },
        }
    }

    fn is_answer(self, saved: Saved) -> bool {
        match saved {
            Saved::Stored(_) => self == Self::Stored,
            Saved::Conflict => self == Self::Conflict,
            Saved::Gone => matches!(self, Self::Gone | Self::Late),
        }
    }
}

/// On one thread, all that is asked at once goes out together.
#[tokio::test]
async fn saves_that_share_a_statement_have_answers_of_their_own() {
    let store = migrated(fresh()).await;
    let mut cases = Vec::new();
    for fate in FATES.repeat(16) {
        let found = stored(&store, owned("ann")).await;
        cases.push((fate, found.id, fate.of(found)));
    }
    // Beyond the timeout of those that are late.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut saves = JoinSet::new();
    for (fate, id, record) in cases {
        let store = store.clone();
        saves.spawn(async move { (fate, id, store.save(&record).await.unwrap()) });
    }
    let mut wrong = 0;
    for (fate, id, saved) in saves.join_all().await {
        let expected = match fate {
            Fate::Stored => Some(2),
            Fate::Conflict | Fate::Gone => Some(1),
            Fate::Late => None,
        };
        let found = store.load(id).await.unwrap();
        let is_right = fate.is_answer(saved) && found.map(|record| record.revision) == expected;
        wrong += u32::from(!is_right);
    }
    println!("saves=64 wrong={wrong}");
    assert_eq!(wrong, 0);
    assert_eq!(store.list("ann").await.unwrap().len(), 48);
}

/// An id that is taken fails the statement that all share: the others' sessions are stored all the
/// same, and the one that is there stays as it is.
#[tokio::test]
async fn creates_that_share_a_statement_have_answers_of_their_own() {
    let store = migrated(fresh()).await;
    let mut cases = Vec::new();
    for n in 0..64 {
        let is_taken = n % 16 == 7;
        let new = owned("ann");
        if is_taken {
            let _ = stored(&store, new.clone()).await;
        }
        let new = Record {
            owner: Some("eve".parse().unwrap()),
            ..new
        };
        cases.push((is_taken, new));
    }
    let mut creates = JoinSet::new();
    for (is_taken, new) in cases {
        let store = store.clone();
        creates.spawn(async move { (is_taken, new.id, store.save(&new).await.unwrap()) });
    }
    let (mut taken, mut wrong) = (0, 0);
    for (is_taken, id, saved) in creates.join_all().await {
        let found = store.load(id).await.unwrap().unwrap();
        let (is_answer, owner) = match saved {
            Saved::Conflict => (is_taken, "ann"),
            Saved::Stored(_) => (!is_taken, "eve"),
            Saved::Gone => (false, ""),
        };
        taken += u32::from(is_taken);
        wrong += u32::from(!is_answer || found.owner.as_deref() != Some(owner));
    }
    println!("creates=64 taken={taken} wrong={wrong}");
    assert_eq!((taken, wrong), (4, 0));
}

/// The latest deadline of a batch is no reason to send what is late.
#[tokio::test]
async fn a_call_is_not_sent_with_others_after_its_own_deadline() {
    let patient = migrated(fresh()).await;
    let builder = fresh().table(patient.table().clone()).pool_size(1);
    let store = builder.deadline(Duration::from_secs(1)).connect().await;
    let store = store.unwrap();
    let [first, late, timely] = [owned("ann"), owned("ann"), owned("ann")];
    for new in [&first, &late, &timely] {
        stored(&patient, new.clone()).await;
    }
    let mut holder = connection().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("lock table {} in access exclusive mode", store.table());
    transaction.execute(AssertSqlSafe(lock)).await.unwrap();
    // The first ones have the only connection, one after the other, and until 1.3 s the second.
    let after = |milliseconds| tokio::time::sleep(Duration::from_millis(milliseconds));
    let (_, _, late_answer, timely_answer, ()) = tokio::join!(
        store.expire(first.id),
        async {
            after(300).await;
            store.stats().await
        },
        async {
            after(150).await;
            store.expire(late.id).await
        },
        async {
            after(600).await;
            store.expire(timely.id).await
        },
        async {
            after(1_400).await;
            transaction.rollback().await.unwrap();
        },
    );
    let late_ended = u32::from(patient.load(late.id).await.unwrap().is_none());
    println!("late=1 ended={late_ended} timely={timely_answer:?}");
    assert!(
        matches!(late_answer, Err(Error::Unavailable(_))),
        "{late_answer:?}"
    );
    assert!(timely_answer.unwrap());
    assert_eq!(late_ended, 0);
}
