//! Connections that end before a request, or before its reply.

use std::time::Duration;

use cloakroom_store_api::{Age, Error, Record, Result, Saved, SessionId, SessionStore};
use cloakroom_store_postgres::PostgresStore;
use cloakroom_test_support::{Cut, Proxy, Way};

use crate::support::{address, by_way_of, migrated, named, record, server, stored};

/// The calls that change something.
#[derive(Clone, Copy, Debug)]
enum Write {
    Create,
    Save,
    Touch,
    Rotate,
    Expire,
    ExpireOwner,
}

const WRITES: [Write; 6] = [
    Write::Create,
    Write::Save,
    Write::Touch,
    Write::Rotate,
    Write::Expire,
    Write::ExpireOwner,
];

/// What the server has before and after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    After,
    Torn,
}

/// A write, and the sessions that it is about.
struct Try {
    write: Write,
    record: Record,
    moved: SessionId,
    owner: String,
}

impl Try {
    async fn new(store: &PostgresStore, write: Write) -> Self {
        let owner = format!("owner-{:x}", fastrand::u64(..));
        let new = Record {
            owner: Some(owner.parse().unwrap()),
            ..record()
        };
        Self {
            write,
            record: match write {
                Write::Create => new,
                _ => stored(store, new).await,
            },
            moved: record().id,
            owner,
        }
    }

    /// Whether it was done; refused where nobody else was first, it was sent twice.
    async fn run(&self, store: &PostgresStore) -> Result<bool> {
        let id = self.record.id;
        match self.write {
            Write::Create | Write::Save => store.save(&self.record).await.map(is_stored),
            Write::Touch => Ok(store.touch(id, 1).await?.is_some()),
            Write::Rotate => {
                let moved = Record {
                    id: self.moved,
                    ..self.record.clone()
                };
                store.rotate(id, &moved, Age::Keep).await.map(is_stored)
            }
            Write::Expire => store.expire(id).await,
            Write::ExpireOwner => Ok(store.expire_owner(&self.owner, None).await? == 1),
        }
    }

    async fn state(&self, store: &PostgresStore) -> State {
        let old = store.load(self.record.id).await.unwrap();
        let new = store.load(self.moved).await.unwrap();
        let deadline = |record: &Record| record.stamp.unwrap().expires_at;
        match (self.write, old.as_ref().map(|old| old.revision), &new) {
            (Write::Create, None, None) => State::Before,
            (Write::Create, Some(1), None) => State::After,
            (Write::Touch, Some(1), None) if deadline(&self.record) == deadline(&old.unwrap()) => {
                State::Before
            }
            (Write::Touch, Some(1), None) => State::After,
            (_, Some(1), None) => State::Before,
            (Write::Save, Some(2), None) => State::After,
            (Write::Rotate, None, Some(new)) if new.revision == 2 => State::After,
            (Write::Expire | Write::ExpireOwner, None, None) => State::After,
            _ => State::Torn,
        }
    }
}

fn is_stored(saved: Saved) -> bool {
    matches!(saved, Saved::Stored(_))
}

const CUTS: [Cut; 2] = [Cut::BeforeRequest, Cut::BeforeReply];

/// With so many a call that meets no other is sent by its caller.
const LONE: usize = 3;

async fn store_behind(proxy: &Proxy, connections: usize) -> PostgresStore {
    let (builder, _) = named(&by_way_of(proxy.address()));
    migrated(builder.pool_size(connections)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_is_cut_off_is_done_or_not_and_never_sent_twice() {
    let proxy = Proxy::start(address(&server()).await).await;
    let stores = [
        store_behind(&proxy, 1).await,
        store_behind(&proxy, LONE).await,
    ];
    for (store, cut) in stores.iter().flat_map(|store| CUTS.map(|cut| (store, cut))) {
        let [mut tries, mut unknown, mut done, mut torn, mut twice] = [0; 5];
        for write in WRITES {
            for _ in 0..10 {
                // So that the connection has the statement prepared, and what is cut is its run.
                let warm_up = Try::new(store, write).await;
                assert!(warm_up.run(store).await.unwrap(), "{write:?}");
                // Two, which share a statement unless the first one is on its way already.
                let cases = [Try::new(store, write).await, Try::new(store, write).await];
                // What it moves shows in whole milliseconds.
                tokio::time::sleep(Duration::from_millis(2)).await;
                proxy.cut_next(cut);
                let answers = tokio::join!(cases[0].run(store), cases[1].run(store));
                proxy.spare();
                for (case, answer) in cases.iter().zip([answers.0, answers.1]) {
                    let state = case.state(store).await;
                    tries += 1;
                    torn += u32::from(state == State::Torn);
                    done += u32::from(state == State::After);
                    match answer {
                        Ok(true) => torn += u32::from(state != State::After),
                        // Nobody else was there to be first.
                        Ok(false) => twice += 1,
                        Err(Error::Unavailable(_)) => unknown += 1,
                        Err(error) => panic!("{write:?}: {error:?}"),
                    }
                }
            }
        }
        println!(
            "cut={cut:?} tries={tries} unknown={unknown} done={done} torn={torn} twice={twice}"
        );
        assert_eq!((torn, twice), (0, 0));
        assert!(unknown > 0);
        // A server that has the request does it.
        assert!(cut == Cut::BeforeRequest || done > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_is_cut_off_is_sent_again() {
    let proxy = Proxy::start(address(&server()).await).await;
    for (connections, cut) in [1, LONE].iter().flat_map(|n| CUTS.map(|cut| (*n, cut))) {
        let store = store_behind(&proxy, connections).await;
        let known = Try::new(&store, Write::Save).await;
        for _ in 0..10 {
            proxy.cut_next(cut);
            assert!(store.load(known.record.id).await.unwrap().is_some());
            proxy.cut_next(cut);
            assert_eq!(store.list(&known.owner).await.unwrap().len(), 1);
            proxy.cut_next(cut);
            assert!(store.stats().await.unwrap().browser >= 1);
            proxy.cut_next(cut);
            store.ping().await.unwrap();
            proxy.spare();
        }
    }
}

/// A server that ends each connection is not asked again and again until the deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_that_is_always_cut_off_gives_up_at_the_fourth_try() {
    let proxy = Proxy::start(address(&server()).await).await;
    let store = store_behind(&proxy, 1).await;
    let known = Try::new(&store, Write::Save).await;
    proxy.cut_next(Cut::BeforeReply);
    let mut cuts = 0;
    let answer = tokio::select! {
        answer = store.load(known.record.id) => answer,
        () = async {
            loop {
                if !proxy.is_to_cut() {
                    cuts += 1;
                    proxy.cut_next(Cut::BeforeReply);
                }
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        } => unreachable!("it cuts for ever"),
    };
    cuts += u32::from(!proxy.is_to_cut());
    println!("cuts={cuts}");
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    assert_eq!(cuts, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_network_changes_no_answer() {
    let proxy = Proxy::start(address(&server()).await).await;
    let store = store_behind(&proxy, 1).await;
    proxy.set(Way::Slow(Duration::from_millis(30)));
    for write in WRITES {
        let case = Try::new(&store, write).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(case.run(&store).await.unwrap(), "{write:?}");
        assert_eq!(case.state(&store).await, State::After, "{write:?}");
    }
}

/// The connections that are idle may be dead, all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_all_connections_were_cut_reads_are_answered() {
    let proxy = Proxy::start(address(&server()).await).await;
    let store = store_behind(&proxy, 1).await;
    let known = Try::new(&store, Write::Save).await;
    for _ in 0..10 {
        proxy.cut_all();
        assert!(store.load(known.record.id).await.unwrap().is_some());
    }
}
