//! The application: each user keeps a canary and a count in the session.

use std::{
    future::pending,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use cloakroom::{Key, PostgresStore, Result, Session, SessionLayer, Sweeper};
use tokio::net::TcpListener;

/// How long a session that nobody uses lives.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// How long a call of the store may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

const CANARY: Key<String> = Key::new("canary");
const COUNT: Key<u64> = Key::new("count");

/// Says where it listens, and serves.
pub(crate) async fn serve(store: &str, wrong: bool) {
    let builder = PostgresStore::builder(store).deadline(DEADLINE);
    let store = builder.connect().await.expect("the server answers");
    let sweeper = Sweeper::new(store.clone()).interval(Duration::from_secs(5));
    tokio::spawn(sweeper.run_until(pending()));
    let routes = match wrong {
        true => Router::new()
            .route("/count", post(count_twice))
            .route("/sign-out", post(async || ())),
        false => Router::new()
            .route("/count", post(count))
            .route("/sign-out", post(sign_out)),
    };
    let app = routes
        .route("/me", get(me))
        .route("/sign-in/{user}", post(sign_in))
        .route("/rotate", post(rotate))
        .route("/clock", get(clock))
        .layer(SessionLayer::new(store).browser_idle(IDLE).plain_http());
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    println!("{}", listener.local_addr().expect("it listens"));
    axum::serve(listener, app)
        .await
        .expect("it serves until it is killed");
}

/// The owner, the canary and the count; nothing for who is not signed in.
async fn me(session: Session) -> Result<String> {
    let (owner, canary, count) = (session.owner(), session.get(CANARY)?, session.get(COUNT)?);
    Ok(match (owner, canary, count) {
        (Some(owner), Some(canary), Some(count)) => format!("{owner} {canary} {count}"),
        (None, None, None) => String::new(),
        torn => format!("{torn:?}"),
    })
}

async fn sign_in(session: Session, Path(user): Path<String>) -> Result<()> {
    session.sign_in(&user).await?;
    session.insert(CANARY, &user)?;
    session.insert(COUNT, &0)
}

async fn rotate(session: Session) -> Result<()> {
    session.rotate().await
}

async fn sign_out(session: Session) -> Result<()> {
    session.end().await
}

/// Seconds since 1970.
async fn clock() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later").as_secs().to_string()
}

async fn count(session: Session) -> Result<String> {
    if session.owner().is_none() {
        return Ok(String::new());
    }
    session.update(COUNT, |count: Option<u64>| count.unwrap_or_default() + 1)?;
    session.commit().await?;
    me(session).await
}

async fn count_twice(session: Session) -> Result<String> {
    count(session.clone()).await?;
    count(session).await
}
