//! Calls whose answer is lost with its connection: they are sent again, and know their own write.

use std::time::Duration;

use cloakroom_store_api::{Age, Error, Record, Saved, SessionStore};
use cloakroom_store_redis::RedisStore;
use cloakroom_test_support::{Cut, Proxy, Way};

use crate::support::{owned, record, run, server, stored, unique_prefix};

/// A store that reaches the server through a proxy, by one connection, and another that does not.
pub(crate) async fn stores() -> (Proxy, RedisStore, RedisStore) {
    let address = server().trim_start_matches("redis://").parse().unwrap();
    let proxy = Proxy::start(address).await;
    let prefix = unique_prefix();
    let through = RedisStore::builder(&format!("redis://{}", proxy.address()));
    let through = through.prefix(prefix.clone()).connections(1);
    let direct = RedisStore::builder(&server()).prefix(prefix);
    let through = through.connect().await.unwrap();
    (proxy, through, direct.connect().await.unwrap())
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_done_once() {
    let (proxy, store, direct) = stores().await;
    let mut cuts = 0;
    for cut in [Cut::BeforeRequest, Cut::BeforeReply] {
        for new in [record, || owned("ann")].repeat(10) {
            let new = new();
            proxy.cut_next(cut);
            let created = stored(&store, new).await;
            cuts += u32::from(!proxy.is_to_cut());

            proxy.cut_next(cut);
            let saved = stored(&store, created).await;
            cuts += u32::from(!proxy.is_to_cut());
            let found = direct.load(saved.id).await.unwrap().unwrap();
            assert_eq!(found.revision, 2);

            proxy.cut_next(cut);
            assert!(store.touch(saved.id, 2).await.unwrap().is_some());
            cuts += u32::from(!proxy.is_to_cut());

            let moved = Record {
                id: record().id,
                ..saved.clone()
            };
            proxy.cut_next(cut);
            let rotated = store.rotate(saved.id, &moved, Age::Keep).await.unwrap();
            assert!(matches!(rotated, Saved::Stored(_)), "{rotated:?}");
            cuts += u32::from(!proxy.is_to_cut());
            assert_eq!(direct.load(saved.id).await.unwrap(), None);
            let found = direct.load(moved.id).await.unwrap().unwrap();
            assert_eq!(found.revision, 3);

            proxy.cut_next(cut);
            store.expire(moved.id).await.unwrap();
            cuts += u32::from(!proxy.is_to_cut());
            assert_eq!(direct.load(moved.id).await.unwrap(), None);
        }
    }
    println!("cuts={cuts} lost=0 done_twice=0");
    assert_eq!(cuts, 200);
}

/// Told of a conflict, the caller would apply its changes a second time. A server that has lost its
/// scripts meanwhile makes no difference.
#[tokio::test]
async fn a_save_that_somebody_else_has_followed_is_no_conflict() {
    for is_flushed in [false, true] {
        let (proxy, store, direct) = stores().await;
        // The server knows the script from here on: this test alone flushes it.
        let new = stored(&direct, owned("ann")).await;
        let old = stored(&direct, new).await;
        proxy.set(Way::Slow(Duration::from_millis(80)));
        proxy.cut_next(Cut::BeforeReply);
        let saving = tokio::spawn({
            let old = old.clone();
            async move { store.save(&old).await }
        });
        let theirs = loop {
            let found = direct.load(old.id).await.unwrap().unwrap();
            if found.revision == 3 {
                break stored(&direct, found).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        if is_flushed {
            let _: String = run("SCRIPT FLUSH").await;
        }
        let answer = saving.await.unwrap();
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
        assert_eq!(theirs.revision, 4);
    }
}
