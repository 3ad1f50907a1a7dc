//! Calls that come together and share a run of their script.

use std::sync::Arc;

use cloakroom_store_api::{Error, Saved, SessionStore};
use tokio::{sync::Barrier, task::JoinSet};

use crate::support::{ask, fresh_store, key, owned, stored};

/// Among those that share a run are keys of another type and sessions that have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_a_run_has_an_answer_of_its_own() {
    const CALLERS: usize = 200;
    let store = fresh_store().await;
    let (mut callers, all) = (JoinSet::new(), Arc::new(Barrier::new(CALLERS)));
    for n in 0..CALLERS {
        let session = stored(&store, owned(&format!("user-{n}"))).await;
        let (is_foreign, has_ended) = (n % 10 == 3, n % 10 == 7);
        if is_foreign || has_ended {
            let _: u64 = ask(redis::cmd("DEL").arg(key(&store, session.id))).await;
        }
        if is_foreign {
            let mut push = redis::cmd("RPUSH");
            let _: u64 = ask(push.arg(key(&store, session.id)).arg("foreign")).await;
        }
        let (store, all) = (store.clone(), Arc::clone(&all));
        callers.spawn(async move {
            all.wait().await;
            let found = store.load(session.id).await;
            let touched = store.touch(session.id, 1).await;
            let saved = store.save(&session).await;
            if is_foreign {
                assert!(matches!(found, Err(Error::Corrupt { id, .. }) if id == session.id));
                assert!(matches!(touched, Err(Error::Corrupt { id, .. }) if id == session.id));
                assert!(matches!(saved, Err(Error::Corrupt { id, .. }) if id == session.id));
                return [0, 0, 1];
            }
            let (found, touched, saved) = (found.unwrap(), touched.unwrap(), saved.unwrap());
            if has_ended {
                assert_eq!((found, touched, saved), (None, None, Saved::Gone));
                return [0, 1, 0];
            }
            let found = found.unwrap();
            assert_eq!((found.id, &found.owner), (session.id, &session.owner));
            assert!(touched.is_some() && matches!(saved, Saved::Stored(_)));
            [1, 0, 0]
        });
    }
    let mut counts = [0; 3];
    while let Some(one) = callers.join_next().await {
        let one = one.unwrap();
        counts = std::array::from_fn(|kind| counts[kind] + one[kind]);
    }
    let [live, ended, foreign] = counts;
    println!("live={live} ended={ended} foreign={foreign} foreign_answers=0");
    assert_eq!(counts, [CALLERS * 8 / 10, CALLERS / 10, CALLERS / 10]);
}
