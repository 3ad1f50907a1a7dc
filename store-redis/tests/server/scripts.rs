//! Servers forget scripts.

use cloakroom_store_api::{Age, Record, Saved, SessionStore};

use crate::{
    servers::OwnServer,
    support::{owned, record, stored},
};

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let own = OwnServer::start("").await;
    let store = own.fresh().connect().await.unwrap();
    let mut session = stored(&store, owned("ann")).await;
    for _ in 0..10 {
        let _: String = own.run("SCRIPT FLUSH").await;
        session = stored(&store, session).await;
        let _: String = own.run("SCRIPT FLUSH").await;
        assert!(
            store
                .touch(session.id, session.revision)
                .await
                .unwrap()
                .is_some()
        );
        let moved = Record {
            id: record().id,
            ..session.clone()
        };
        let _: String = own.run("SCRIPT FLUSH").await;
        let Saved::Stored(stamp) = store.rotate(session.id, &moved, Age::Keep).await.unwrap()
        else {
            panic!("nobody else rotates");
        };
        session = moved.stored(stamp);
    }
    let _: String = own.run("SCRIPT FLUSH").await;
    assert!(store.expire(session.id).await.unwrap());
}
