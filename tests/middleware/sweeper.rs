//! The sweeper, on a clock that leaps from one rest to the next.

use std::{collections::BTreeMap, future::pending, num::NonZeroU32, time::Duration};

use cloakroom::{
    Persistence, Sweeper,
    store::{Lifetime, Record, Saved, SessionStore, SessionToken},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::support::Spy;

const INTERVAL: Duration = Duration::from_secs(100);
const TENTH: Duration = Duration::from_millis(100);

fn sweeper(store: &Spy) -> Sweeper {
    Sweeper::new(store.clone()).interval(INTERVAL)
}

/// The seconds between sweeps, the first counted from now, as exact as it is asked for.
async fn gaps(store: &Spy, count: usize, precision: Duration) -> Vec<f64> {
    let (mut gaps, mut last) = (Vec::new(), Instant::now());
    while gaps.len() < count {
        sleep(precision).await;
        for _ in store.calls() {
            gaps.push(last.elapsed().as_secs_f64());
            last = Instant::now();
        }
    }
    gaps
}

fn metric(snapshotter: &Snapshotter, name: &str) -> Option<DebugValue> {
    let metrics = snapshotter.snapshot().into_vec().into_iter();
    let mut named = metrics.filter(|(key, ..)| key.key().name() == name);
    named.next().map(|(.., value)| value)
}

#[tokio::test(start_paused = true)]
async fn batches_go_on_until_nothing_is_left() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let store = Spy::new();
    store.swept(&[3, 3, 2]);
    tokio::spawn(sweeper(&store).run_until(pending()));
    sleep(Duration::from_secs(61)).await;
    assert_eq!(store.calls(), ["sweep"; 4]);
    let removed = metric(&metrics, "cloakroom_sweep_removed_total");
    assert_eq!(removed, Some(DebugValue::Counter(8)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_as_large_as_it_is_asked_for() {
    let store = Spy::new();
    store.swept(&[2, 2]);
    let two = NonZeroU32::new(2).unwrap();
    tokio::spawn(sweeper(&store).batch(two).run_until(pending()));
    sleep(Duration::from_secs(61)).await;
    assert_eq!(store.limits(), [2; 3]);
}

#[tokio::test(start_paused = true)]
async fn it_rests_between_batches() {
    let store = Spy::new();
    store.swept(&[3, 3]);
    let pause = Duration::from_secs(5);
    tokio::spawn(sweeper(&store).pause(pause).run_until(pending()));
    let gaps = gaps(&store, 3, TENTH).await;
    println!("gaps={gaps:.1?}");
    assert!(gaps[1..].iter().all(|gap| (4.9..5.2).contains(gap)));
}

#[tokio::test(start_paused = true)]
async fn asked_to_it_counts_the_sessions_after_each_sweep() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let store = Spy::new();
    let kinds = [
        Persistence::Browser,
        Persistence::Persistent,
        Persistence::Persistent,
    ];
    for kind in kinds {
        let lifetime = Lifetime::new(kind, INTERVAL, INTERVAL);
        let record = Record::new(SessionToken::generate().unwrap().id(), lifetime);
        let saved = store.inner.save(&record).await.unwrap();
        assert!(matches!(saved, Saved::Stored(_)));
    }
    store.swept(&[3]);
    tokio::spawn(sweeper(&store).count_sessions().run_until(pending()));
    sleep(Duration::from_secs(61)).await;
    assert_eq!(store.calls(), ["sweep", "sweep", "stats"]);

    let counted = metrics.snapshot().into_vec().into_iter();
    let gauges: BTreeMap<_, _> = counted
        .filter_map(|(key, _, _, value)| match value {
            DebugValue::Gauge(value) if key.key().name().starts_with("cloakroom_sessions_") => {
                let kind = key.key().labels().next();
                let kind = kind.map(|label| label.value().to_owned());
                Some(((key.key().name().to_owned(), kind), value.into_inner()))
            }
            _ => None,
        })
        .collect();
    let live = |kind: &str| {
        let name = "cloakroom_sessions_live".to_owned();
        gauges.get(&(name, Some(kind.to_owned()))).copied()
    };
    assert_eq!(
        (live("browser"), live("persistent")),
        (Some(1.0), Some(2.0))
    );
    let expired = ("cloakroom_sessions_expired".to_owned(), None);
    assert_eq!(gauges.get(&expired), Some(&0.0));
}

#[tokio::test(start_paused = true)]
async fn rests_are_50_to_150_percent_of_the_interval() {
    let store = Spy::new();
    tokio::spawn(sweeper(&store).run_until(pending()));
    let gaps = gaps(&store, 200, Duration::from_secs(1)).await;
    let (first, rest) = gaps.split_first().unwrap();
    let shortest = rest.iter().copied().fold(f64::MAX, f64::min);
    let longest = rest.iter().copied().fold(0.0, f64::max);
    println!("first={first:.1} shortest={shortest:.1} longest={longest:.1}");
    assert!(*first <= 61.0);
    assert!((49.0..75.0).contains(&shortest));
    assert!((125.0..151.0).contains(&longest));
}

#[tokio::test(start_paused = true)]
async fn an_error_delays_it_but_never_ends_it() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let success = "cloakroom_sweep_last_success_timestamp_seconds";
    let store = Spy::new();
    store.fail(true);
    tokio::spawn(sweeper(&store).run_until(pending()));
    let gaps = gaps(&store, 30, TENTH).await;
    println!("gaps={:.1?}", &gaps[1..10]);
    for (doublings, gap) in gaps[1..7].iter().enumerate() {
        let backoff = f64::from(1 << doublings);
        assert!((0.5 * backoff - 0.2..1.5 * backoff + 0.2).contains(gap));
    }
    assert!(gaps[8..].iter().all(|gap| (49.8..150.2).contains(gap)));
    assert_eq!(metric(&metrics, success), None);

    store.fail(false);
    sleep(2 * INTERVAL).await;
    let Some(DebugValue::Gauge(at)) = metric(&metrics, success) else {
        panic!("it has swept");
    };
    assert!(at.into_inner() > 1e9);
    store.fail(true);
    store.calls();
    self::gaps(&store, 2, TENTH).await;
    let soon = self::gaps(&store, 1, TENTH).await[0];
    assert!(soon < 3.2, "the backoff begins anew, not with {soon} s");
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_finishes_its_batch() {
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let store = Spy::new();
    store.slow(Duration::from_secs(10));
    store.swept(&[5, 5, 5]);
    let (stop, stopped) = oneshot::channel::<()>();
    let sweeping = tokio::spawn(sweeper(&store).run_until(async {
        let _ = stopped.await;
    }));
    while store.calls().is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    drop(stop);
    sweeping.await.unwrap();
    assert!(store.calls().is_empty(), "no other batch has begun");
    let removed = metric(&metrics, "cloakroom_sweep_removed_total");
    assert_eq!(removed, Some(DebugValue::Counter(5)));
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_it_does_not_finish_its_rest() {
    let store = Spy::new();
    let started = Instant::now();
    sweeper(&store).run_until(async {}).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(store.calls().is_empty());
}
