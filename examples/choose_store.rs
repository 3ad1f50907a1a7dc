//! The store chosen when the program starts, by its first argument or by `CLOAKROOM_STORE`:
//!
//! ```sh
//! cargo run --example choose_store --features axum,sled -- sled:data/sessions
//! CLOAKROOM_STORE=memory: cargo run --example choose_store --features axum
//! ```
//!
//! Which stores there are to choose from is decided when it is built, by the features.

use std::{env, error::Error, process::ExitCode};

use axum::{Router, routing::get};
use cloakroom::{Result, Session, SessionLayer};

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("choose_store: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let url = env::args()
        .nth(1)
        .or_else(|| env::var("CLOAKROOM_STORE").ok())
        .ok_or("name a store: choose_store memory:, or CLOAKROOM_STORE=sled:data/sessions")?;
    let store = cloakroom::connect(&url).await?;

    let app = Router::new()
        .route("/", get(visits))
        .layer(SessionLayer::new(store));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)?;
    Ok(format!("You have been here {visits} times."))
}
