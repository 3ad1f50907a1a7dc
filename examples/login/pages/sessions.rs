use axum::response::Response;
use cloakroom::{SessionInfo, store::Owner};
use maud::{Markup, html};

use crate::pages::{kind, moment, page};

pub(crate) fn sessions(visitor: &Owner, sessions: &[SessionInfo]) -> Response {
    let main = html! {
        h1 { "My sessions" }
        p { "Everywhere that " (visitor) " is signed in, the newest first." }
        ul.plain {
            @for session in sessions { (card(session)) }
        }
        @if sessions.iter().any(|session| !session.current) {
            form method="post" action="/sessions/end-others" {
                button { "Sign out everywhere else" }
            }
        } @else {
            p.soft { "You are signed in nowhere else." }
        }
    };
    page("My sessions", Some(visitor), &main)
}

fn card(session: &SessionInfo) -> Markup {
    html! {
        li.card aria-current=[session.current.then_some("true")] {
            @if session.current { span.badge { "This one" } }
            dl {
                dt { "Kind" } dd { (kind(session.persistence)) }
                dt { "Created" } dd { (moment(session.created_at)) }
                dt { "Expires" } dd { (moment(session.expires_at)) ", or later if it is used" }
                dt { "Id" } dd { code { (session.id) } }
            }
        }
    }
}
