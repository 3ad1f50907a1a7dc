use axum::{http::StatusCode, response::Response};
use cloakroom::store::Owner;
use maud::html;

use crate::{pages::page, routes::NOTE_LIMIT};

pub(crate) fn another_site() -> Response {
    message(
        "That came from another site",
        None,
        "Your browser says that this form was not one of ours, so nothing was done. Go back to \
         the first page and try again from there.",
    )
}

pub(crate) fn not_found() -> Response {
    message("No such page", None, "There is nothing at this address.")
}

pub(crate) fn note_too_long(visitor: Option<&Owner>) -> Response {
    message(
        "That note is too long",
        visitor,
        &format!("The old one was kept: a note has at most {NOTE_LIMIT} characters."),
    )
}

pub(crate) fn failed(status: StatusCode) -> Response {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => message(
            "Not now",
            None,
            "The sessions cannot be reached, and nothing was changed. Try again in a moment.",
        ),
        _ => message(
            "Something is broken",
            None,
            "It is our fault, and it is in our log.",
        ),
    }
}

fn message(title: &str, visitor: Option<&Owner>, text: &str) -> Response {
    let main = html! {
        h1 { (title) }
        p { (text) }
        p { a.button href="/" { "To the first page" } }
    };
    page(title, visitor, &main)
}
