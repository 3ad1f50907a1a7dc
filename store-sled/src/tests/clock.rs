//! The clock across restarts.

use super::*;

#[tokio::test]
async fn a_clock_set_back_across_a_restart_revives_nothing() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let begin = Timestamp::from_millis(1_577_836_800_000);
    let record = stored(&store, new_record(None)).await;
    clock.advance(Duration::from_mins(30));
    assert!(!is_live(&store, record.id).await);

    // As after `kill -9`: what closing would store is not there.
    store
        .0
        .shared
        .noted::<()>(Err(sled::Error::Unsupported("killed".into())))
        .unwrap_err();
    drop(store);
    let earlier = ManualClock::new();
    earlier.set_wall(begin);
    let store = at(&folder, &earlier);
    assert!(!is_live(&store, record.id).await);
    assert_eq!(store.save(&record).await.unwrap(), Saved::Gone);
}

#[tokio::test]
async fn a_clock_set_forward_and_corrected_freezes_nothing() {
    let (folder, clock) = (folder(), ManualClock::new());
    let right = Timestamp::from_millis(1_577_836_800_000);
    clock.set_wall(right + Duration::from_hours(24));
    let store = at(&folder, &clock);
    let record = stored(&store, new_record(None)).await;
    drop(store);

    clock.set_wall(right);
    let store = at(&folder, &clock);
    clock.advance(Duration::from_mins(29));
    assert!(is_live(&store, record.id).await);
    clock.advance(Duration::from_mins(1));
    assert!(!is_live(&store, record.id).await);
}
