//! Callers that meet.
//!
//! Rounds run sixteen at a time, each with tasks on two nodes, and print what they tried.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    AFTER_SOON, SOON, Subject, brief, is_live, live, loaded, new_id, noted, rounds, stored,
    two_nodes,
};
use crate::{Record, Saved, SessionStore};

mod ends;
mod rotations;
mod sweeps;

pub use ends::{
    an_end_beats_a_late_rotation, an_end_beats_a_late_save, an_end_beats_a_late_touch,
    no_session_survives_the_end_of_its_owner,
};
pub use rotations::{
    a_rotation_beats_a_late_save, a_rotation_is_never_seen_twice, of_two_rotations_one_wins,
};
pub use sweeps::{
    a_sweep_spares_a_session_created_anew, a_sweep_spares_a_touched_session,
    sweepers_do_not_count_twice,
};

/// Sixteen tasks count up one entry by compare-and-swap: every answer of `Stored` counts (S4).
pub async fn sixteen_writers_lose_nothing(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let id = stored(&nodes[0], noted(live(), "0")).await.id;
    let each = rounds(25);
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let store = Arc::clone(&nodes[writer % 2]);
        writers.spawn(async move {
            let mut conflicts = 0_u64;
            for _ in 0..each {
                loop {
                    let record = loaded(&store, id).await;
                    let count = count(&record) + 1;
                    tokio::task::yield_now().await;
                    match store
                        .save(&noted(record, &count.to_string()))
                        .await
                        .unwrap()
                    {
                        Saved::Stored(_) => break,
                        Saved::Conflict => conflicts += 1,
                        Saved::Gone => panic!("nobody ended the session"),
                    }
                }
            }
            conflicts
        });
    }
    let conflicts: u64 = writers.join_all().await.iter().sum();
    let acked = u64::from(16 * each);
    let found = loaded(&nodes[0], id).await;
    let lost = acked.abs_diff(count(&found));
    println!("acked={acked} conflicts={conflicts} lost={lost}");
    assert_eq!(lost, 0);
    assert_eq!(found.revision, acked + 1);
}

fn count(record: &Record) -> u64 {
    let note = record.data.get("note").expect("the entry was written");
    note.parse().expect("a number")
}

/// Eight tasks create the same id at once: one is told `Stored` and its record is there (S1, S4).
pub async fn of_many_creators_one_wins(subject: impl Subject) {
    let nodes = two_nodes(&subject).await;
    let rounds = rounds(100);
    let wrong = in_lanes(rounds, nodes, |[store, node]| async move {
        let id = new_id();
        let mut creators = JoinSet::new();
        for creator in 0..8 {
            let store = Arc::clone(if creator % 2 == 0 { &store } else { &node });
            creators.spawn(async move {
                let record = noted(Record { id, ..live() }, &creator.to_string());
                (record.data.clone(), store.save(&record).await.unwrap())
            });
        }
        let answers = creators.join_all().await;
        let winners: Vec<_> = answers
            .iter()
            .filter(|(_, saved)| matches!(saved, Saved::Stored(_)))
            .collect();
        !matches!(&winners[..], [(data, _)] if *data == loaded(&store, id).await.data)
    })
    .await;
    println!("rounds={rounds} creators=8 wrong={wrong}");
    assert_eq!(wrong, 0);
}

/// Nobody sweeps, and no session is served at its deadline or after (L3).
///
/// Where the clock is injected, each is still served a millisecond before.
pub async fn no_expired_session_is_served(subject: impl Subject) {
    let [store, node] = two_nodes(&subject).await;
    let millisecond = Duration::from_millis(1);
    let batches = rounds(256).div_ceil(256);
    let (mut early, mut served) = (0, 0);
    for _ in 0..batches {
        let mut records = Vec::new();
        for _ in 0..256 {
            records.push(stored(&store, brief()).await);
        }
        match subject.clock() {
            Some(clock) => {
                clock.advance(SOON - millisecond);
                for record in &records {
                    early += u32::from(!is_live(&node, record.id).await);
                }
                clock.advance(millisecond);
            }
            None => subject.pass(AFTER_SOON).await,
        }
        for record in records {
            served += u32::from(is_live(&node, record.id).await);
            served += u32::from(store.touch(record.id, 1).await.unwrap().is_some());
            served += u32::from(store.save(&record).await.unwrap() != Saved::Gone);
        }
    }
    println!("sessions={} early={early} served={served}", 256 * batches);
    assert_eq!((early, served), (0, 0));
}

/// Runs rounds, sixteen at a time; counts those that went wrong.
async fn in_lanes<S, F, Fut>(rounds: u32, nodes: [Arc<S>; 2], round: F) -> u32
where
    S: SessionStore,
    F: Fn([Arc<S>; 2]) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = bool> + Send,
{
    let mut lanes = JoinSet::new();
    for lane in 0..16 {
        let (nodes, round) = (nodes.clone(), round.clone());
        lanes.spawn(async move {
            let mut wrong = 0;
            for _ in (lane..rounds).step_by(16) {
                wrong += u32::from(round(nodes.clone()).await);
            }
            wrong
        });
    }
    lanes.join_all().await.iter().sum()
}

/// Lets others go first, sometimes.
async fn stagger() {
    for _ in 0..fastrand::u32(0..6) {
        tokio::task::yield_now().await;
    }
}
