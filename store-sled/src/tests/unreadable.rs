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

/// As an earlier version meets it, to which a folder was given back.
#[tokio::test]
async fn a_row_of_a_later_format_is_left_alone_until_it_is_ended() {
    let (folder, clock) = (folder(), ManualClock::new());
    let store = at(&folder, &clock);
    let records = &store.0.shared.trees.records;
    let mut sessions = Vec::new();
    for _ in 0..1_000 {
        let session = stored(&store, new_record(Some("zoë"))).await;
        sessions.push(session);
    }
    clock.advance(Duration::from_mins(20));
    let mut rows = Vec::new();
    for session in &sessions {
        // It lives past what the expiry tree says of it.
        store.touch(session.id, 1).await.unwrap().unwrap();
        let mut row = records.get(session.id.as_bytes()).unwrap().unwrap();
        row[0] = 2;
        replace(&store, session.id, &row);
        rows.push(row);
    }
    clock.advance(Duration::from_mins(20));
    let (mut overwritten, mut removed) = (0, 0);
    for session in &sessions {
        let moved = new_record(None);
        assert!(is_corrupt(&store.load(session.id).await));
        assert!(is_corrupt(&store.save(session).await));
        assert!(is_corrupt(&store.touch(session.id, 1).await));
        assert!(is_corrupt(
            &store.rotate(session.id, &moved, Age::Keep).await
        ));
        let new = Record {
            id: session.id,
            ..new_record(None)
        };
        assert!(is_corrupt(&store.save(&new).await));
    }
    for _ in 0..3 {
        assert_eq!(store.stats().await.unwrap(), Default::default());
        while store.sweep(MANY).await.unwrap().more {}
        clock.advance(Duration::from_hours(1));
    }
    for (session, row) in sessions.iter().zip(&rows) {
        match records.get(session.id.as_bytes()).unwrap() {
            Some(found) => overwritten += u32::from(found != row),
            None => removed += 1,
        }
    }
    println!(
        "sessions={} overwritten={overwritten} removed={removed}",
        sessions.len()
    );
    assert_eq!((overwritten, removed), (0, 0));

    // The later version has them still, by owner too, and sweeps them.
    for (session, row) in sessions.iter().zip(&rows) {
        let mut row = row.to_vec();
        row[0] = 1;
        replace(&store, session.id, &row);
    }
    let owned = store.0.shared.trees.owners.len();
    assert_eq!(owned, sessions.len());
    clock.advance(Duration::from_hours(2));
    while store.sweep(MANY).await.unwrap().more {}
    assert_empty(&store);
}

#[tokio::test]
async fn a_row_of_a_later_format_can_be_ended() {
    let folder = folder();
    let store = SledStore::open(folder.path()).unwrap();
    let records = &store.0.shared.trees.records;
    let [one, other] = [
        stored(&store, new_record(Some("zoë"))).await,
        stored(&store, new_record(Some("zoë"))).await,
    ];
    for session in [&one, &other] {
        let mut row = records.get(session.id.as_bytes()).unwrap().unwrap();
        row[0] = 2;
        replace(&store, session.id, &row);
    }
    assert!(store.expire(one.id).await.unwrap());
    assert!(!is_live(&store, one.id).await);
    store.expire_owner("zoë", None).await.unwrap();
    assert!(!is_live(&store, other.id).await);
    assert_eq!(records.len(), 0);
}
