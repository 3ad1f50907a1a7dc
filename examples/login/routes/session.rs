use std::time::Duration;

use axum::{
    Form, Json,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use cloakroom::{
    Key, Persistence, Session,
    store::{Owner, SessionId},
};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;

use crate::{
    pages::{self, Home, LiveSession},
    routes::AppError,
};

const NOTE: Key<String> = Key::new("note");
const VISITS: Key<u64> = Key::new("visits");

/// In characters.
pub(crate) const NOTE_LIMIT: usize = 4000;

pub(crate) async fn home(session: Session) -> Result<Response, AppError> {
    let visits = match session.owner() {
        Some(_) => {
            let seen = session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?;
            // Of visits at the same time each is to show its own number: the stored one.
            session.commit().await?;
            Some(session.get(VISITS)?.unwrap_or(seen))
        }
        None => None,
    };
    Ok(pages::home(&Home {
        visitor: session.owner(),
        visits,
        note: session.get(NOTE)?.unwrap_or_default(),
        session: session.remaining().map(|remaining| LiveSession {
            persistence: session.persistence(),
            remaining,
        }),
    }))
}

#[derive(Deserialize)]
pub(crate) struct Note {
    note: String,
}

pub(crate) async fn note(session: Session, Form(form): Form<Note>) -> Result<Response, AppError> {
    // As the textarea counts them; forms send two characters for a new line.
    let note = form.note.replace("\r\n", "\n");
    if note.chars().count() > NOTE_LIMIT {
        let page = pages::note_too_long(session.owner().as_ref());
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    match note.is_empty() {
        true => session.remove(NOTE.name()),
        false => session.insert(NOTE, &note)?,
    }
    Ok(Redirect::to("/").into_response())
}

#[derive(Deserialize)]
pub(crate) struct Remember {
    /// A box that is not ticked is not sent.
    remember: Option<String>,
}

pub(crate) async fn remember(session: Session, Form(form): Form<Remember>) -> Redirect {
    session.remember(form.remember.is_some());
    Redirect::to("/")
}

pub(crate) async fn sessions(session: Session) -> Result<Response, AppError> {
    match session.owner() {
        Some(owner) => Ok(pages::sessions(&owner, &session.sessions().await?)),
        None => Ok(sign_in_first()),
    }
}

pub(crate) async fn end_others(session: Session) -> Result<Response, AppError> {
    if session.owner().is_none() {
        return Ok(sign_in_first());
    }
    session.end_others().await?;
    Ok(Redirect::to("/sessions").into_response())
}

fn sign_in_first() -> Response {
    Redirect::to("/login?next=/sessions").into_response()
}

/// This session as the store has it; all null if there is none.
#[derive(Default, Serialize)]
pub(crate) struct WhoAmI {
    user: Option<String>,
    persistence: Option<Persistence>,
    expires_at: Option<String>,
    remaining_seconds: Option<u64>,
    session_id: Option<String>,
}

pub(crate) async fn whoami(session: Session) -> Json<WhoAmI> {
    let id = session.id();
    Json(WhoAmI {
        user: session.owner().as_ref().map(Owner::to_string),
        persistence: id.map(|_| session.persistence()),
        expires_at: session.expires_at().and_then(|at| at.format(&Rfc3339).ok()),
        remaining_seconds: session.remaining().map(rounded_up),
        session_id: id.as_ref().map(SessionId::to_string),
    })
}

fn rounded_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
