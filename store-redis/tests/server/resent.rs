//! Calls whose answer is lost with its connection: they are sent again, and know their own write.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use cloakroom_store_api::{Age, Error, Record, Saved, SessionStore};
use cloakroom_store_redis::{RedisStore, RedisStoreBuilder};
use cloakroom_test_support::{Cut, Proxy, Way};
use redis::{
    Value,
    cluster::{ClusterClient, NodeAddress},
};

use crate::support::{
    ask_cluster, cluster, key, owned, owner_key, record, run, run_in_cluster, server, stored,
    unique_prefix,
};

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

/// A store that reaches each master of a cluster through a proxy, by one connection, and another that
/// does not. The masters are the first three of the servers, with a third of the slots each.
async fn stores_in_a_cluster() -> (Vec<Proxy>, RedisStore, RedisStore) {
    let url = cluster();
    let hosts: Vec<_> = url
        .trim_start_matches("redis+cluster://")
        .split(',')
        .collect();
    let (mut proxies, mut map) = (Vec::new(), HashMap::new());
    for host in &hosts[..3] {
        let proxy = Proxy::start(host.parse().unwrap()).await;
        let [from, to] = [host.parse().unwrap(), proxy.address()]
            .map(|address: SocketAddr| NodeAddress::new(address.ip().to_string(), address.port()));
        map.insert(from, to);
        proxies.push(proxy);
    }
    let client = ClusterClient::builder(hosts.iter().map(|host| format!("redis://{host}")))
        .retries(0)
        .response_timeout(Duration::from_secs(1))
        .node_address_map(map)
        .build();
    let store = RedisStoreBuilder::from(client.unwrap()).connections(1);
    let store = store.prefix(unique_prefix()).connect().await.unwrap();
    let direct = RedisStore::builder(&url).prefix(store.prefix().clone());
    (proxies, store, direct.connect().await.unwrap())
}

/// Which of the masters has a key.
async fn master(key: &str) -> usize {
    let slot = run_in_cluster(&format!("CLUSTER KEYSLOT {key}")).await;
    redis::from_redis_value::<usize>(slot).unwrap() / 5_461
}

/// The end of all sessions of its owner may come between: what is stored after it is listed.
#[tokio::test]
async fn a_create_in_a_cluster_that_is_sent_again_is_in_its_owners_index() {
    let (proxies, store, direct) = stores_in_a_cluster().await;
    let (mut cuts, mut unlisted) = (0, 0);
    let index = master(&owner_key(&store, "ann")).await;
    for _ in 0..10 {
        let (new, proxy) = loop {
            let new = owned("ann");
            let master = master(&key(&store, new.id)).await;
            if master != index {
                break (new, &proxies[master]);
            }
        };
        proxy.set(Way::Slow(Duration::from_millis(40)));
        proxy.cut_next(Cut::BeforeReply);
        let creating = tokio::spawn({
            let (new, store) = (new.clone(), store.clone());
            async move { store.save(&new).await }
        });
        while direct.load(new.id).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(direct.expire_owner("ann", None).await.unwrap(), 1);
        let created = creating.await.unwrap().unwrap();
        cuts += u32::from(!proxy.is_to_cut());
        proxy.set(Way::Open);
        assert!(matches!(created, Saved::Stored(_)), "{created:?}");
        unlisted += 1 - direct.list("ann").await.unwrap().len();
        direct.expire(new.id).await.unwrap();
    }
    println!("cuts={cuts} unlisted={unlisted}");
    assert_eq!((cuts, unlisted), (10, 0));
}

/// An index may name what is somebody else's by now.
#[tokio::test]
async fn an_end_in_a_cluster_that_is_sent_again_leaves_others_alone() {
    let (proxies, store, direct) = stores_in_a_cluster().await;
    let index = owner_key(&store, "ann");
    let at = master(&index).await;
    let (bobs, proxy) = loop {
        let bobs = stored(&direct, owned("bob")).await;
        let master = master(&key(&store, bobs.id)).await;
        if master != at {
            break (bobs, &proxies[master]);
        }
    };
    let mut add = redis::cmd("ZADD");
    add.arg(&index).arg("+inf").arg(&bobs.id.as_bytes()[..]);
    ask_cluster(&add).await;
    proxy.cut_next(Cut::BeforeReply);
    assert_eq!(store.expire_owner("ann", None).await.unwrap(), 0);
    assert!(!proxy.is_to_cut());
    assert!(direct.load(bobs.id).await.unwrap().is_some());
}

/// Somebody else saves the session meanwhile.
#[tokio::test]
async fn a_rotation_in_a_cluster_that_has_lost_leaves_nothing() {
    let (proxies, store, direct) = stores_in_a_cluster().await;
    let old = stored(&direct, owned("ann")).await;
    let from = master(&key(&store, old.id)).await;
    let new = loop {
        let new = record().id;
        if master(&key(&store, new)).await != from {
            break new;
        }
    };
    // The new record is stored by then, and the old one still there.
    proxies[from].set(Way::Slow(Duration::from_millis(200)));
    let rotating = tokio::spawn({
        let (id, old) = (old.id, old.clone());
        async move {
            store
                .rotate(id, &Record { id: new, ..old }, Age::Keep)
                .await
        }
    });
    let exists = format!("EXISTS {}", key(&direct, new));
    while run_in_cluster(&exists).await != Value::Int(1) {}
    let old = stored(&direct, old).await;
    let rotated = rotating.await.unwrap();
    assert!(matches!(rotated, Ok(Saved::Conflict)), "{rotated:?}");
    assert_eq!(run_in_cluster(&exists).await, Value::Int(0));
    let index = format!("ZRANGE {} 0 -1", owner_key(&direct, "ann"));
    let indexed = run_in_cluster(&index).await;
    let indexed: Vec<Vec<u8>> = redis::from_redis_value(indexed).unwrap();
    assert_eq!(indexed, [old.id.as_bytes()]);
}

/// The same as on one server.
#[tokio::test]
async fn a_save_in_a_cluster_that_somebody_else_has_followed_is_no_conflict() {
    let (proxies, store, direct) = stores_in_a_cluster().await;
    let (mut cuts, mut followed) = (0, 0);
    for round in 0..10 {
        // The server knows the script from here on.
        let new = stored(&direct, owned("ann")).await;
        let old = stored(&direct, new).await;
        let proxy = &proxies[master(&key(&store, old.id)).await];
        proxy.set(Way::Slow(Duration::from_millis(40)));
        proxy.cut_next(Cut::BeforeReply);
        let saving = tokio::spawn({
            let (old, store) = (old.clone(), store.clone());
            async move { store.save(&old).await }
        });
        if round % 2 == 0 {
            let answer = saving.await.unwrap();
            assert!(matches!(answer, Ok(Saved::Stored(_))), "{answer:?}");
        } else {
            loop {
                let found = direct.load(old.id).await.unwrap().unwrap();
                if found.revision == 3 {
                    stored(&direct, found).await;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let answer = saving.await.unwrap();
            assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
            followed += 1;
        }
        cuts += u32::from(!proxy.is_to_cut());
        proxy.set(Way::Open);
    }
    println!("cuts={cuts} followed={followed} conflicts=0");
    assert_eq!((cuts, followed), (10, 5));
}
