//! A visit counter, the smallest use of a session: `cargo run --example counter --features axum`.

use axum::{Router, routing::get};
use cloakroom::{MemoryStore, Result, Session, SessionLayer};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let sessions = SessionLayer::new(MemoryStore::new());
    let app = Router::new().route("/", get(visits)).layer(sessions);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await
}

async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)?;
    Ok(format!("You have been here {visits} times."))
}
