use axum::response::Response;
use cloakroom::store::Owner;
use maud::{Markup, html};

use crate::{local_path::LocalPath, pages::page};

/// What the visitor has typed, to be kept when a form is shown again. Never the password.
#[derive(Default)]
pub(crate) struct Entered {
    pub(crate) username: String,
    pub(crate) remember: bool,
    pub(crate) next: LocalPath,
}

/// What was wrong with a sign-in.
#[derive(Clone, Copy)]
pub(crate) enum Refused {
    NotThisPassword,
    CookiesAreOff { plain_http: bool },
}

pub(crate) fn log_in(
    visitor: Option<&Owner>,
    entered: &Entered,
    refused: Option<Refused>,
) -> Response {
    let title = match refused {
        None => "Sign in",
        Some(Refused::NotThisPassword) => "Not signed in",
        Some(Refused::CookiesAreOff { .. }) => "Cookies are off",
    };
    let form = html! {
        div.narrow {
            h1 { (title) }
            @if let Some(refused) = refused { (reason(refused)) }
            form.card method="post" action="/login" {
                @if entered.next != LocalPath::default() {
                    input type="hidden" name="next" value=(entered.next);
                }
                (name_field(&entered.username, refused.map(|_| "problem")))
                label for="password" { "Password" }
                input #password type="password" name="password" required
                    autocomplete="current-password" aria-describedby=[refused.map(|_| "problem")];
                (remember_field(entered.remember))
                button { "Sign in" }
            }
            p { "New here? " a href="/signup" { "Sign up" } "." }
        }
    };
    page(title, visitor, &form)
}

fn reason(refused: Refused) -> Markup {
    html! {
        div #problem .alarm role="alert" {
            @match refused {
                Refused::NotThisPassword => "There is no user of this name and password.",
                Refused::CookiesAreOff { plain_http } => {
                    "Your browser did not send back the cookie of this page, and without cookies \
                     nobody can be signed in. Allow cookies for this site, then try again."
                    @if !plain_http {
                        " Some browsers, such as Safari, keep this site's cookies only over HTTPS, \
                         and all do when it is not on their own computer: there, start the server \
                         with " code.whole { "--plain-http" } "."
                    }
                }
            }
        }
    }
}

pub(crate) fn sign_up(
    visitor: Option<&Owner>,
    entered: &Entered,
    problem: Option<&str>,
) -> Response {
    let form = html! {
        div.narrow {
            h1 { "Sign up" }
            @if let Some(problem) = problem {
                div #problem .alarm role="alert" { (problem) }
            }
            form.card method="post" action="/signup" {
                (name_field(&entered.username, Some(problem.map_or("name-rule", |_| "problem name-rule"))))
                p #name-rule .soft { "1 to 30 letters from A to Z, digits and underscores. Capitals do not matter." }
                label for="password" { "Password" }
                input #password type="password" name="password" required minlength="8" maxlength="128"
                    autocomplete="new-password" aria-describedby="password-rule";
                p #password-rule .soft { "At least 8 characters." }
                (remember_field(entered.remember))
                button { "Sign up" }
            }
            p { "Been here before? " a href="/login" { "Sign in" } "." }
        }
    };
    page("Sign up", visitor, &form)
}

fn name_field(value: &str, described_by: Option<&str>) -> Markup {
    html! {
        label for="username" { "Name" }
        input #username type="text" name="username" value=(value) required maxlength="30"
            pattern="[A-Za-z0-9_]{1,30}" title="1 to 30 letters from A to Z, digits and underscores"
            autocomplete="username" autocapitalize="none" spellcheck="false"
            aria-describedby=[described_by];
    }
}

fn remember_field(ticked: bool) -> Markup {
    html! {
        label.tick {
            input type="checkbox" name="remember" checked[ticked];
            "Remember me on this computer"
        }
    }
}
