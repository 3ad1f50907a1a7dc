//! Rows that cannot be read.

use super::*;

#[tokio::test]
async fn a_row_without_a_header_hurts_nobody_else() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let whole = stored(&store, new_record(Some("zoë"))).await;
    let mut wrecked = Vec::new();
    for _ in 0..4 {
        let record = stored(&store, new_record(Some("zoë"))).await;
        wreck(&store, record.id);
        wrecked.push(record);
    }
    let [loaded, ended, swept, owned] = &wrecked[..] else {
        unreachable!()
    };
    assert!(is_corrupt(&store.load(loaded.id).await));
    assert!(is_corrupt(&store.save(loaded).await));
    assert!(is_corrupt(&store.touch(loaded.id, 1).await));
    let moved = Record {
        id: swept.id,
        ..new_record(None)
    };
    assert!(is_corrupt(
        &store.rotate(loaded.id, &moved, Age::Keep).await
    ));

    assert!(store.expire(ended.id).await.unwrap());
    assert!(!store.expire(ended.id).await.unwrap());
    let again = stored(
        &store,
        Record {
            id: ended.id,
            ..new_record(Some("zoë"))
        },
    )
    .await;
    assert_eq!(store.list("zoë").await.unwrap().len(), 2);
    assert_eq!(store.stats().await.unwrap().expired, 0);

    let spared = stored(&store, new_record(None)).await;
    wreck(&store, owned.id);
    assert_eq!(
        store.expire_owner("zoë", Some(swept.id)).await.unwrap(),
        5 - 1
    );
    assert!(!is_live(&store, whole.id).await && !is_live(&store, again.id).await);
    assert!(is_live(&store, spared.id).await);

    clock.advance(Duration::from_hours(1));
    assert_eq!(store.sweep(MANY).await.unwrap().removed, 2);
    assert_empty(&store);
}

#[tokio::test]
async fn a_dead_session_whose_data_is_damaged_is_swept() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let record = stored(&store, new_record(Some("zoë"))).await;
    store.spoil(record.id).unwrap();
    assert!(is_corrupt(&store.load(record.id).await));
    clock.advance(Duration::from_mins(30));
    assert!(!is_live(&store, record.id).await);
    assert_eq!(store.sweep(MANY).await.unwrap().removed, 1);
    assert_empty(&store);
}
