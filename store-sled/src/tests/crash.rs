//! What a crash leaves that cuts a batch off between two of its steps.

use super::*;
use crate::{batch::Batch, row::Draft};

/// A session's revision and owner.
type State = Option<(u64, Option<String>)>;

async fn state(store: &SledStore, id: SessionId) -> State {
    let found = store.load(id).await.unwrap()?;
    Some((found.revision, found.owner.map(|owner| owner.to_string())))
}

fn of(owner: &str, revision: u64) -> State {
    Some((revision, Some(owner.into())))
}

/// Does only the first steps of what a call changes, one more each time.
///
/// The session is then as before or as `after`, its owner's list agrees, and the sweep leaves
/// nothing behind in the end.
async fn cut_off(age: Duration, after: State, call: impl Fn(&mut Batch<'_>, &Record)) {
    let mut cuts = 0;
    for steps in 0.. {
        let (folder, clock) = (folder(), ManualClock::new());
        let store = at(&folder, &clock);
        let record = stored(&store, new_record(Some("ann"))).await;
        clock.advance(Duration::from_mins(20));
        store.touch(record.id, 1).await.unwrap().unwrap();
        write_touches(&store);
        clock.advance(age);
        let before = state(&store, record.id).await;

        let mut batch = Batch::new(&store.0.shared);
        call(&mut batch, &record);
        let Some(first) = batch.changes.first(steps) else {
            break;
        };
        first.apply(&store.0.shared.trees).unwrap();
        store.0.shared.cache.forget(record.id);
        cuts += 1;

        let found = state(&store, record.id).await;
        assert!(found == before || found == after, "{steps}: {found:?}");
        for owner in ["ann", "bob"] {
            let is_owner = found == of(owner, 1) || found == of(owner, 2);
            let listed = store.list(owner).await.unwrap().len();
            assert_eq!(listed, usize::from(is_owner), "{steps}: {owner}");
        }
        clock.advance(Duration::from_hours(2));
        while store.sweep(MANY).await.unwrap().more {}
        assert_empty(&store);
    }
    println!("cuts={cuts}");
    assert!(cuts > 2, "it is one step");
}

const YOUNG: Duration = Duration::from_mins(5);

/// Past what the expiry tree says of it.
const LIVE: Duration = Duration::from_mins(20);

const DEAD: Duration = Duration::from_mins(40);

#[tokio::test]
async fn a_save_that_changes_the_owner_can_be_cut_off() {
    cut_off(YOUNG, of("bob", 2), |batch, record| {
        let record = Record {
            owner: Some("bob".parse().unwrap()),
            ..record.clone()
        };
        let saved = batch.save(Draft::new(&record).unwrap()).unwrap();
        assert!(matches!(saved, Saved::Stored(_)));
    })
    .await;
}

#[tokio::test]
async fn a_save_that_shortens_the_lifetime_can_be_cut_off() {
    cut_off(YOUNG, of("ann", 2), |batch, record| {
        let brief = Duration::from_mins(1);
        let record = Record {
            lifetime: Lifetime::new(Persistence::Browser, brief, brief * 60),
            ..record.clone()
        };
        let saved = batch.save(Draft::new(&record).unwrap()).unwrap();
        assert!(matches!(saved, Saved::Stored(_)));
    })
    .await;
}

#[tokio::test]
async fn a_create_over_a_dead_leftover_can_be_cut_off() {
    cut_off(DEAD, of("bob", 1), |batch, record| {
        let record = Record {
            id: record.id,
            ..new_record(Some("bob"))
        };
        let saved = batch.save(Draft::new(&record).unwrap()).unwrap();
        assert!(matches!(saved, Saved::Stored(_)));
    })
    .await;
}

#[tokio::test]
async fn an_end_can_be_cut_off() {
    cut_off(YOUNG, None, |batch, record| {
        assert!(batch.expire(record.id).unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_sweep_of_the_dead_can_be_cut_off() {
    cut_off(DEAD, None, |batch, _| {
        assert_eq!(batch.sweep(MANY).unwrap().removed, 1);
    })
    .await;
}

#[tokio::test]
async fn a_sweep_that_meets_the_living_can_be_cut_off() {
    cut_off(LIVE, of("ann", 1), |batch, _| {
        assert_eq!(batch.sweep(MANY).unwrap().removed, 0);
    })
    .await;
}

#[tokio::test]
async fn a_rotation_is_whole() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let record = stored(&store, new_record(Some("ann"))).await;
    let mut batch = Batch::new(&store.0.shared);
    let new = Record {
        id: new_record(None).id,
        ..record.clone()
    };
    let draft = Draft::new(&new).unwrap();
    let rotated = batch.rotate(record.id, draft, Age::Keep).unwrap();
    assert!(matches!(rotated, Saved::Stored(_)));
    assert!(batch.changes.is_whole());
}
