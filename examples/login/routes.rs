mod account;
#[cfg(feature = "prometheus")]
mod metrics;
mod session;

use std::{error::Error as _, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cloakroom::{SessionLayer, store::SessionStore};

use crate::{
    pages, same_site,
    users::{self, Users},
};

#[cfg(feature = "prometheus")]
pub(crate) use self::metrics::metrics;
pub(crate) use self::session::NOTE_LIMIT;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) users: Arc<Users>,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) plain_http: bool,
}

/// No form of ours is larger: a note's characters may take 12 bytes each, percent-encoded.
const BODY_LIMIT: usize = 64 * 1024;

pub(crate) fn router(app: App, sessions: SessionLayer) -> Router {
    Router::new()
        .route("/", get(session::home))
        .route("/note", post(session::note))
        .route("/remember", post(session::remember))
        .route("/sessions", get(session::sessions))
        .route("/sessions/end-others", post(session::end_others))
        .route("/whoami", get(session::whoami))
        .route("/signup", get(account::sign_up_form).post(account::sign_up))
        .route("/login", get(account::log_in_form).post(account::log_in))
        .route("/logout", post(account::log_out))
        .route("/healthz", get(healthz))
        .fallback(async || (StatusCode::NOT_FOUND, pages::not_found()))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(sessions)
        .layer(from_fn(same_site::guard))
        .with_state(app)
}

async fn healthz(State(app): State<App>) -> Response {
    match app.store.ping().await {
        Ok(()) => "ok\n".into_response(),
        Err(error) => AppError::Session(error.into()).into_response(),
    }
}

/// What a handler fails with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error(transparent)]
    Session(#[from] cloakroom::Error),
    #[error(transparent)]
    Users(#[from] users::Error),
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Session(error) => error.status(),
            Self::Users(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        tracing::error!(cause = self.source(), "{self}");
        (status, pages::failed(status)).into_response()
    }
}
