use std::time::Duration;

use axum::response::Response;
use cloakroom::{Persistence, store::Owner};
use maud::{Markup, html};

use crate::{
    pages::{kind, page, roughly},
    routes::NOTE_LIMIT,
};

/// What the first page shows.
pub(crate) struct Home {
    pub(crate) visitor: Option<Owner>,
    pub(crate) visits: Option<u64>,
    pub(crate) note: String,
    pub(crate) session: Option<LiveSession>,
}

pub(crate) struct LiveSession {
    pub(crate) persistence: Persistence,
    pub(crate) remaining: Duration,
}

pub(crate) fn home(home: &Home) -> Response {
    let main = html! {
        @if let Some(name) = &home.visitor {
            h1 { "Hello, " (name) }
            @if let Some(visits) = home.visits {
                p { "Visits in this session: " strong #visits { (visits) } }
            }
        } @else {
            h1 { "Leave your coat here" }
            p {
                "You are not signed in. Sign in with “Remember me” ticked or not, and see what \
                 becomes of the session."
            }
            p {
                a.button href="/login" { "Sign in" } " "
                a.button.quiet href="/signup" { "Sign up" }
            }
        }
        (note(home))
        @if let Some(session) = &home.session { (switch(session)) }
    };
    page("Home", home.visitor.as_ref(), &main)
}

fn note(home: &Home) -> Markup {
    html! {
        section.card aria-labelledby="note-title" {
            h2 #note-title { "A note to yourself" }
            form method="post" action="/note" {
                // HTML drops the first newline of a textarea.
                textarea #note name="note" maxlength=(NOTE_LIMIT) aria-labelledby="note-title"
                    aria-describedby="note-hint" { "\n" (home.note) }
                p #note-hint .soft {
                    "It is kept in the session, "
                    @if home.visitor.is_some() { "until you sign out." }
                    @else { "and is still there when you have signed in." }
                }
                button { "Keep it" }
            }
        }
    }
}

fn switch(session: &LiveSession) -> Markup {
    let is_persistent = session.persistence == Persistence::Persistent;
    html! {
        section.card aria-labelledby="session-title" {
            h2 #session-title { "This session" }
            dl {
                dt { "Kind" } dd { (kind(session.persistence)) }
                dt { "Expires" } dd { "when not used for " (roughly(session.remaining)) }
            }
            form method="post" action="/remember" {
                label.tick {
                    input type="checkbox" name="remember" checked[is_persistent];
                    "Remember me on this computer"
                }
                button { "Change it" }
            }
        }
    }
}
