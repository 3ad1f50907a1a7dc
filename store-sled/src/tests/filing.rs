//! Where sweep looks for the dead.

use super::*;

/// How many entries the expiry tree has.
fn filed(store: &SledStore) -> usize {
    store.0.shared.trees.expiry.len()
}

#[tokio::test]
async fn a_session_in_use_is_filed_anew_by_the_sweep_alone() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let mut record = stored(&store, new_record(Some("zoë"))).await;
    for _ in 0..10 {
        clock.advance(Duration::from_mins(7));
        store.touch(record.id, record.revision).await.unwrap();
        clock.advance(Duration::from_mins(7));
        record = stored(&store, record).await;
        assert_eq!(filed(&store), 1);
        assert_eq!(store.sweep(MANY).await.unwrap().removed, 0);
        assert_eq!(filed(&store), 1);
    }
    clock.advance(Duration::from_mins(30));
    assert_eq!(store.sweep(MANY).await.unwrap().removed, 1);
    assert_empty(&store);
}

#[tokio::test]
async fn an_ended_session_leaves_the_expiry_tree_in_its_time() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let fresh = stored(&store, new_record(Some("zoë"))).await;
    assert!(store.expire(fresh.id).await.unwrap());
    assert_empty(&store);

    // Filed by the sweep at a deadline that has moved since.
    let old = stored(&store, new_record(Some("zoë"))).await;
    clock.advance(Duration::from_mins(20));
    store.touch(old.id, 1).await.unwrap().unwrap();
    clock.advance(Duration::from_mins(15));
    let _ = store.sweep(MANY).await.unwrap();
    store.touch(old.id, 1).await.unwrap().unwrap();
    assert!(store.expire(old.id).await.unwrap());
    assert_eq!(filed(&store), 1);
    clock.advance(Duration::from_mins(15));
    assert_eq!(store.sweep(MANY).await.unwrap().removed, 0);
    assert_empty(&store);
}
