//! A user signs out at one node while requests are under way at the other.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use axum::routing::post;
use cloakroom::{Result, Session, SessionLayer, store::SessionToken};
use cloakroom_test_support::rounds;
use tokio::task::JoinSet;

use crate::{
    Nodes, each_store,
    http::{Browser, COOKIE, Server},
    routes::routes,
};

each_store!(sign_out_while_others_use_the_session);

/// What tabs do with the session at the same time. Those that rotate go on with the new id.
const TABS: [&str; 4] = ["/count/clicks", "/rotate", "/remember/true", "/rotate"];

/// M5, M6: once the sign-out is answered, no node serves the session, under whatever id.
async fn sign_out_while_others_use_the_session(nodes: Nodes) {
    let rounds = rounds(20);
    let [here, there] = nodes.stores.clone().map(SessionLayer::new);
    let here = routes().route("/sign-out", post(sign_out)).layer(here);
    let here = Server::start(here).await;
    let there = Server::with(there).await;
    let (mut used, mut too_late, mut served_late, mut alive) = (0, 0, 0, 0);
    for _ in 0..rounds {
        let user = format!("user-{}", SessionToken::generate().unwrap().id());
        let mut browser = here.browser();
        browser.post(&format!("/sign-in/{user}")).await;
        let ended = Arc::new(AtomicBool::new(false));
        let mut tabs = JoinSet::new();
        for act in TABS {
            let mut tab = there.browser();
            tab.cookies.clone_from(&browser.cookies);
            tabs.spawn(use_it(tab, act, user.clone(), Arc::clone(&ended)));
        }
        for _ in 0..fastrand::u32(0..3) {
            here.browser().get("/plain").await;
        }
        let signed_out = browser.clone().post("/sign-out").await;
        ended.store(true, SeqCst);
        let tabs = tabs.join_all().await;
        used += tabs.iter().map(|(_, uses, _)| uses).sum::<u32>();
        assert_eq!(signed_out.status, 200);
        if signed_out.body != user {
            // The id was changed before this request was read, which no store can undo.
            too_late += 1;
            continue;
        }
        for (tokens, _, late) in tabs {
            served_late += late;
            for token in tokens {
                for node in [here, there] {
                    let mut thief = node.browser();
                    thief.cookies.insert(COOKIE.into(), token.clone());
                    alive += u32::from(thief.get("/whoami").await.body.contains(&user));
                }
            }
        }
        for store in &nodes.stores {
            alive += u32::try_from(store.list(&user).await.unwrap().len()).unwrap();
        }
    }
    println!(
        "rounds={rounds} used={used} too_late={too_late} \
         served_after_sign_out={served_late} alive={alive}"
    );
    assert!(used > rounds && too_late < rounds);
    assert_eq!((served_late, alive), (0, 0));
}

/// Says whose session it has ended.
async fn sign_out(session: Session) -> Result<String> {
    let user = session.owner().map(|owner| owner.to_string());
    session.end().await?;
    Ok(user.unwrap_or_default())
}

/// Uses the session until it is gone: gives all its tokens, how often it was served, and how
/// often though it was asked for after the sign-out had been answered.
async fn use_it(
    mut tab: Browser,
    act: &str,
    user: String,
    ended: Arc<AtomicBool>,
) -> (Vec<String>, u32, u32) {
    let (mut tokens, mut used, mut late) = (vec![tab.token().to_owned()], 0, 0);
    loop {
        let is_late = ended.load(SeqCst);
        let is_served = tab.get("/whoami").await.body.contains(&user);
        used += u32::from(is_served);
        late += u32::from(is_late && is_served);
        if is_late {
            return (tokens, used, late);
        }
        tab.post(act).await;
        tokens.push(tab.token().to_owned());
    }
}
