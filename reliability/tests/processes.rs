//! Two processes on one store. Needs servers: `scripts/with-servers`.
//!
//! With `CLOAKROOM_PARTNER` the other process is another version's program: `scripts/upgrade`.

use std::{sync::Arc, time::Duration};

use cloakroom_reliability::{
    processes::{Order, Partner},
    target::{Kind, Node, Target},
};
use cloakroom_store_api::conformance::Subject as _;
use cloakroom_test_support::rounds;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cloakroom-reliability");
const OWNER: &str = "ann";

/// How many sessions are created, used and ended together.
const BATCH: u32 = 100;

/// A store of this process, and a partner on the same one.
async fn two(kind: Kind) -> (Arc<Node>, Partner) {
    let store = Arc::new(Target::new(kind).store().await);
    let partner = Partner::start(PROGRAM, kind, &store.place());
    (store, partner)
}

fn created(sessions: u32) -> Order {
    Order::Create {
        sessions: sessions as usize,
        owner: OWNER.into(),
    }
}

/// Eight tasks here and eight there count one session up (S4).
async fn writers_lose_nothing(kind: Kind) {
    let (store, mut partner) = two(kind).await;
    let ids = created(1).carry_out(&store).await.ids;
    let count = Order::Count {
        id: ids[0].clone(),
        tasks: 8,
        times: u64::from(rounds(25)),
    };
    partner.tell(&count);
    let ours = count.carry_out(&store).await;
    let theirs = partner.answer();
    let counted = Order::Read { ids }.carry_out(&store).await.counts[0];
    let (acked, conflicts) = (
        ours.stored + theirs.stored,
        ours.conflicts + theirs.conflicts,
    );
    let lost = acked.abs_diff(counted.expect("nobody ended it"));
    println!("processes=2 acked={acked} conflicts={conflicts} lost={lost}");
    assert_eq!(lost, 0);
    assert!(conflicts > 0, "they never met");
}

/// Sessions are ended here while they are used there; how many live afterwards (S2, E2).
async fn revived(kind: Kind, usual: u32, revives: bool) -> u64 {
    let (store, mut partner) = two(kind).await;
    let (mut stored, mut gone, mut ended, mut revived) = (0, 0, 0, 0);
    let least = rounds(usual).div_ceil(BATCH);
    let mut batches = 0;
    // Until they have met, too.
    while batches < least || batches < 20 * least && (stored == 0 || gone == 0) {
        batches += 1;
        let ids = created(BATCH).carry_out(&store).await.ids;
        partner.tell(&Order::Use {
            ids: ids.clone(),
            times: 3,
            revives,
        });
        // The other process wakes and reads first.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..4_000))).await;
        ended += Order::End { ids: ids.clone() }
            .carry_out(&store)
            .await
            .ended;
        let used = partner.answer();
        (stored, gone) = (stored + used.stored, gone + used.gone);
        let counts = Order::Read { ids }.carry_out(&store).await.counts;
        revived += counts.iter().flatten().count() as u64;
    }
    let rounds = batches * BATCH;
    println!("processes=2 rounds={rounds} saved={stored} saved_too_late={gone} revived={revived}");
    assert_eq!(ended, u64::from(rounds));
    assert!(stored > 0 && gone > 0, "they never met");
    revived
}

/// What either process stores, touches, rotates and ends, the other one sees at once, whole.
async fn sessions_are_shared(kind: Kind) {
    let (store, mut partner) = two(kind).await;
    let sessions = rounds(200) & !3;
    let half = sessions as usize / 2;
    let (mut unread, mut wrong) = (0, 0);
    let mut expect = |counts: &[Option<u64>], count: Option<u64>| {
        unread +=
            counts.iter().filter(|read| read.is_none()).count() * usize::from(count.is_some());
        wrong += counts.iter().filter(|read| **read != count).count();
    };

    let mut ids = created(sessions / 2).carry_out(&store).await.ids;
    ids.extend(partner.does(&created(sessions / 2)).ids);
    let read = Order::Read { ids: ids.clone() };
    let once = Order::Use {
        ids: ids.clone(),
        times: 1,
        revives: false,
    };
    expect(&read.clone().carry_out(&store).await.counts, Some(0));
    expect(&partner.does(&read).counts, Some(0));
    assert_eq!(
        once.clone().carry_out(&store).await.stored,
        u64::from(sessions)
    );
    expect(&partner.does(&read).counts, Some(1));
    assert_eq!(partner.does(&once).stored, u64::from(sessions));
    expect(&read.clone().carry_out(&store).await.counts, Some(2));
    let touch = Order::Touch { ids: ids.clone() };
    assert_eq!(partner.does(&touch).stored, u64::from(sessions));
    assert_eq!(touch.carry_out(&store).await.stored, u64::from(sessions));

    // The first half gets new ids here, the second half there.
    let (ours, theirs) = ids.split_at(half);
    let rotated = |ids: &[String]| Order::Rotate { ids: ids.to_vec() };
    let mut new = rotated(ours).carry_out(&store).await.ids;
    new.extend(partner.does(&rotated(theirs)).ids);
    expect(&partner.does(&read).counts, None);
    expect(&read.carry_out(&store).await.counts, None);
    let read = Order::Read { ids: new.clone() };
    expect(&partner.does(&read).counts, Some(2));
    expect(&read.clone().carry_out(&store).await.counts, Some(2));

    let list = Order::List {
        owner: OWNER.into(),
    };
    let listed = [
        list.clone().carry_out(&store).await.ids.len(),
        partner.does(&list).ids.len(),
    ];
    // Each ends what the other one has rotated.
    let (ours, theirs) = new.split_at(half);
    let end = |ids: &[String]| Order::End { ids: ids.to_vec() };
    assert_eq!(partner.does(&end(ours)).ended, half as u64);
    expect(
        &Order::Read { ids: ours.to_vec() }
            .carry_out(&store)
            .await
            .counts,
        None,
    );
    assert_eq!(end(theirs).carry_out(&store).await.ended, half as u64);
    expect(
        &partner
            .does(&Order::Read {
                ids: theirs.to_vec(),
            })
            .counts,
        None,
    );
    let left = partner.does(&list).ids.len();
    println!("processes=2 sessions={sessions} unread={unread} wrong={wrong} left={left}");
    assert_eq!(listed, [sessions as usize; 2]);
    assert_eq!((unread, wrong, left), (0, 0, 0));
}

macro_rules! on_each {
    ($($module:ident: $kind:ident;)*) => {$(
        mod $module {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn two_processes_lose_no_update() {
                writers_lose_nothing(Kind::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn an_end_beats_the_saves_of_another_process() {
                assert_eq!(revived(Kind::$kind, 1_000, false).await, 0);
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_process_that_creates_anew_what_has_ended_is_found() {
                assert_ne!(revived(Kind::$kind, 1_000, true).await, 0);
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn two_processes_share_sessions() {
                sessions_are_shared(Kind::$kind).await;
            }
        }
    )*};
}

on_each! {
    postgres: Postgres;
    redis: Redis;
    redis_cluster: RedisCluster;
}
