//! The HTML. No scripts: everything is a link or a form.

mod account;
mod home;
mod message;
mod sessions;

use std::{sync::LazyLock, time::Duration};

use axum::{
    http::{
        HeaderValue,
        header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use cloakroom::{Persistence, store::Owner};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub(crate) use self::{
    account::{Entered, Refused, log_in, sign_up},
    home::{Home, LiveSession, home},
    message::{another_site, failed, not_found, note_too_long},
    sessions::sessions,
};

const STYLE: &str = include_str!("style.css");

const ICON: &str = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' \
    viewBox='0 0 100 100'><text y='.9em' font-size='90'>🧥</text></svg>";

/// Our one stylesheet, by its hash, and forms that post here; nothing else, nowhere framed.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is ASCII")
});

/// One page, for the visitor who is signed in if there is one.
fn page(title: &str, visitor: Option<&Owner>, main: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Cloakroom" }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a.brand href="/" { "Cloakroom" }
                    nav aria-label="Account" { (account_links(visitor)) }
                }
                main { (main) }
                footer {
                    "An example of the Rust library Cloakroom. "
                    a href="/whoami" { "/whoami" } " shows this session as JSON."
                }
            }
        }
    };
    // Not `no-referrer`: with it browsers send `Origin: null` with our own forms.
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, Html(page.into_string())).into_response()
}

fn account_links(visitor: Option<&Owner>) -> Markup {
    html! {
        @if let Some(name) = visitor {
            span { "Signed in as " strong { (name) } }
            a href="/sessions" { "Sessions" }
            form method="post" action="/logout" { button.quiet { "Sign out" } }
        } @else {
            a href="/login" { "Sign in" }
            a href="/signup" { "Sign up" }
        }
    }
}

fn kind(persistence: Persistence) -> &'static str {
    match persistence {
        Persistence::Browser => "browser-length, ends with the browser",
        Persistence::Persistent => "persistent, remembered on this computer",
    }
}

/// A time as people read it, and as programs do.
fn moment(at: OffsetDateTime) -> Markup {
    let people = format!(
        "{} {} {}, {:02}:{:02} UTC",
        at.day(),
        at.month(),
        at.year(),
        at.hour(),
        at.minute()
    );
    html! {
        time datetime=[at.format(&Rfc3339).ok()] { (people) }
    }
}

/// A duration in its largest unit of which there are at least two.
fn roughly(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let units = [("days", 86_400), ("hours", 3_600), ("minutes", 60)];
    let fitting = units.into_iter().find(|(_, unit)| seconds >= 2 * unit);
    let (name, unit) = fitting.unwrap_or(("seconds", 1));
    format!("{} {name}", (seconds + unit / 2) / unit)
}
