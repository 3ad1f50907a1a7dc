//! Everything a session can do, by path.

use axum::{
    Json, Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use cloakroom::{Result, Session};

/// Everything a session can do, by path.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/plain", get(async || "no session here"))
        .route("/look", get(async |_: Session| ()))
        .route("/get/{key}", get(read))
        .route(
            "/keys",
            get(async |session: Session| session.keys().join(",")),
        )
        .route("/set/{key}/{value}", post(set))
        .route("/set/{key}/{value}/{status}", post(set_and_answer))
        .route("/count/{key}", post(count))
        .route("/take/{key}", post(take))
        .route(
            "/remove/{key}",
            post(async |session: Session, key: Path<String>| session.remove(&key)),
        )
        .route("/clear", post(async |session: Session| session.clear()))
        .route("/remember/{persistent}", post(remember))
        .route(
            "/sign-in/{who}",
            post(async |session: Session, who: Path<String>| session.sign_in(&*who).await),
        )
        .route(
            "/rotate",
            post(async |session: Session| session.rotate().await),
        )
        .route("/end", post(async |session: Session| session.end().await))
        .route(
            "/end-others",
            post(async |session: Session| session.end_others().await.map(|n| n.to_string())),
        )
        .route("/whoami", get(whoami))
        .route("/sessions", get(sessions))
}

async fn read(session: Session, Path(key): Path<String>) -> Result<String> {
    Ok(session.get::<String>(&key)?.unwrap_or_default())
}

async fn set(session: Session, Path((key, value)): Path<(String, String)>) -> Result<()> {
    session.insert(&key, &value)
}

async fn set_and_answer(
    session: Session,
    Path((key, value, status)): Path<(String, String, u16)>,
) -> Result<StatusCode> {
    session.insert(&key, &value)?;
    Ok(StatusCode::from_u16(status).unwrap())
}

async fn count(session: Session, Path(key): Path<String>) -> Result<String> {
    let counted = session.update(&key, |count: Option<u64>| count.unwrap_or(0) + 1)?;
    Ok(counted.to_string())
}

async fn take(session: Session, Path(key): Path<String>) -> Result<String> {
    Ok(session.take::<String>(&key)?.unwrap_or_default())
}

async fn remember(session: Session, Path(persistent): Path<bool>) {
    session.remember(persistent);
}

async fn whoami(session: Session) -> Result<Json<Vec<String>>> {
    let owner = session
        .owner()
        .map(|owner| owner.to_string())
        .unwrap_or_default();
    Ok(Json(vec![owner, format!("{:?}", session.persistence())]))
}

/// The ids of the owner's sessions, newest first.
async fn sessions(session: Session) -> Result<Json<Vec<String>>> {
    let sessions = session.sessions().await?;
    Ok(Json(
        sessions.iter().map(|info| info.id.to_string()).collect(),
    ))
}
