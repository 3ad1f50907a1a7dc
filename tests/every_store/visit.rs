use cloakroom::{SessionLayer, store::SessionToken};

use crate::{
    Nodes, each_store,
    http::{Browser, COOKIE, Server},
};

each_store!(visit);

/// A user with a laptop and a phone, and an application of two nodes.
async fn visit(nodes: Nodes) {
    let [here, there] = nodes.stores.map(SessionLayer::new);
    let here = Server::with(here).await;
    let there = Server::with(there).await;
    let user = format!("user-{}", SessionToken::generate().unwrap().id());
    let mut laptop = here.browser();

    // A note before anybody has signed in goes along to the new id.
    laptop.post("/set/note/umbrella").await;
    let unsigned = laptop.token().to_owned();
    laptop.post(&format!("/sign-in/{user}")).await;
    assert_ne!(laptop.token(), unsigned);
    assert_eq!(laptop.get("/get/note").await.body, "umbrella");
    assert_eq!(whoami(&mut laptop).await, [&user, "Browser"]);
    let mut stolen = here.browser();
    stolen.cookies.insert(COOKIE.into(), unsigned);
    assert_eq!(stolen.get("/get/note").await.body, "");

    // Remembered and back again: cookie and session change together, the id stays.
    let signed_in = laptop.token().to_owned();
    let days_14 = 14 * 24 * 60 * 60;
    assert_eq!(laptop.post("/remember/true").await.max_age(), Some(days_14));
    assert_eq!(whoami(&mut laptop).await, [&user, "Persistent"]);
    let forgotten = laptop.post("/remember/false").await;
    assert!(forgotten.cookie(COOKIE).is_some() && forgotten.max_age().is_none());
    assert_eq!(whoami(&mut laptop).await, [&user, "Browser"]);
    assert_eq!(laptop.token(), signed_in);

    // A second device, at the other node.
    let mut phone = there.browser();
    phone.post(&format!("/sign-in/{user}")).await;
    assert_eq!(sessions(&mut laptop).await, sessions(&mut phone).await);
    assert_eq!(sessions(&mut phone).await.len(), 2);

    // The old id is of no use to anybody once it was changed.
    laptop.post("/rotate").await;
    let mut old = there.browser();
    old.cookies.insert(COOKIE.into(), signed_in);
    assert_eq!(old.get("/get/note").await.body, "");
    assert_eq!(laptop.get("/get/note").await.body, "umbrella");
    assert_eq!(sessions(&mut phone).await.len(), 2);

    // Requests at once on both nodes: each is counted.
    let requests = (0..16).map(|request| {
        let node = if request % 2 == 0 { here } else { there };
        let mut tab = node.browser();
        tab.cookies.clone_from(&laptop.cookies);
        tokio::spawn(async move { assert_eq!(tab.post("/count/clicks").await.status, 200) })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    assert_eq!(laptop.post("/count/clicks").await.body, "17");

    // Signed out everywhere else, then here; what the phone still has in flight changes nothing.
    assert_eq!(laptop.post("/end-others").await.body, "1");
    assert_eq!(sessions(&mut laptop).await.len(), 1);
    assert_eq!(whoami(&mut phone).await, ["", "Browser"]);
    let mut late = there.browser();
    late.cookies.clone_from(&laptop.cookies);
    let ended = laptop.post("/end").await;
    assert_eq!(ended.max_age(), Some(0));
    assert_eq!(late.get("/get/note").await.body, "");
    assert_eq!(whoami(&mut late).await, ["", "Browser"]);
}

async fn whoami(browser: &mut Browser) -> Vec<String> {
    serde_json::from_str(&browser.get("/whoami").await.body).unwrap()
}

async fn sessions(browser: &mut Browser) -> Vec<String> {
    serde_json::from_str(&browser.get("/sessions").await.body).unwrap()
}
