use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use cloakroom::Session;
use serde::Deserialize;

use crate::{
    local_path::LocalPath,
    pages::{self, Entered, Refused},
    routes::{App, AppError},
    users::{Name, Password},
};

/// The fields of both forms. Not `Debug`: there is a password in it.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub(crate) struct Credentials {
    username: String,
    password: String,
    /// A box that is not ticked is not sent.
    remember: Option<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    next: Option<String>,
}

impl Credentials {
    fn entered(&self) -> Entered {
        Entered {
            username: self.username.clone(),
            remember: self.remember.is_some(),
            next: local(self.next.as_deref()),
        }
    }
}

/// Where to go after signing in: not to another site, whoever made the link.
fn local(next: Option<&str>) -> LocalPath {
    next.and_then(|next| next.parse().ok()).unwrap_or_default()
}

pub(crate) async fn log_in_form(session: Session, Query(asked): Query<Asked>) -> Response {
    session.set_test_cookie();
    let entered = Entered {
        next: local(asked.next.as_deref()),
        ..Entered::default()
    };
    pages::log_in(session.owner().as_ref(), &entered, None)
}

pub(crate) async fn log_in(
    State(app): State<App>,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, AppError> {
    let entered = form.entered();
    let refuse = |status: StatusCode, refused| {
        let page = pages::log_in(session.owner().as_ref(), &entered, Some(refused));
        Ok((status, page).into_response())
    };
    if !session.test_cookie_worked() {
        // Not only where cookies are off: the page may be older than the browser's last start.
        session.set_test_cookie();
        let plain_http = app.plain_http;
        return refuse(
            StatusCode::BAD_REQUEST,
            Refused::CookiesAreOff { plain_http },
        );
    }
    let user = app
        .users
        .authenticate(&form.username, form.password)
        .await?;
    let Some(name) = user else {
        return refuse(StatusCode::UNAUTHORIZED, Refused::NotThisPassword);
    };
    session.sign_in(name.as_str()).await?;
    session.remember(entered.remember);
    Ok(Redirect::to(entered.next.as_str()).into_response())
}

pub(crate) async fn log_out(session: Session) -> Result<Redirect, AppError> {
    session.end().await?;
    Ok(Redirect::to("/"))
}

pub(crate) async fn sign_up_form(session: Session) -> Response {
    pages::sign_up(session.owner().as_ref(), &Entered::default(), None)
}

pub(crate) async fn sign_up(
    State(app): State<App>,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, AppError> {
    let entered = form.entered();
    let refuse = |problem: &str| {
        let page = pages::sign_up(session.owner().as_ref(), &entered, Some(problem));
        Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
    };
    let name: Name = match form.username.parse() {
        Ok(name) => name,
        Err(problem) => return refuse(problem),
    };
    let password = match Password::try_from(form.password) {
        Ok(password) => password,
        Err(problem) => return refuse(problem),
    };
    if !app.users.sign_up(name.clone(), password).await? {
        return refuse("This name is taken.");
    }
    session.sign_in(name.as_str()).await?;
    session.remember(entered.remember);
    Ok(Redirect::to("/").into_response())
}
