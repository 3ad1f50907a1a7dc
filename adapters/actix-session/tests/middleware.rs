//! An application on actix-session, on each of our stores. PostgreSQL needs a server:
//! `scripts/with-servers`.

use std::sync::Arc;

use actix_session::{
    Session, SessionMiddleware,
    config::{CookieContentSecurity, PersistentSession, TtlExtensionPolicy},
};
use actix_web::{
    App, Error, HttpResponse,
    body::BoxBody,
    cookie::{Cookie, Key},
    dev::{Service, ServiceResponse},
    test::{self, TestRequest},
    web,
};
use cloakroom_actix_session::ActixSessionStore;
use cloakroom_store_api::SessionStore as Store;
use cloakroom_test_stores::on_every_store;
use time::Duration;
use tokio::sync::Notify;

on_every_store!(
    entries_come_back_with_the_cookie,
    the_cookie_is_sent_again_only_with_a_change,
    every_request_extends_where_that_is_configured,
    renewing_gives_a_new_key_and_ends_the_old,
    purging_ends_the_session_and_removes_the_cookie,
    a_cookie_that_was_tampered_with_is_no_session,
    purge_wins_over_a_slow_request,
    a_slow_request_that_only_reads_sends_no_cookie_after_a_renewal,
);

type Response = ServiceResponse<BoxBody>;

const TTL: Duration = Duration::MINUTE;

/// Where a slow request waits.
#[derive(Debug, Default)]
struct Gate {
    arrived: Notify,
    opened: Notify,
}

async fn count(session: Session) -> Result<HttpResponse, Error> {
    let counter = session.get::<u32>("counter")?.unwrap_or_default() + 1;
    session.insert("counter", counter)?;
    Ok(HttpResponse::Ok().body(counter.to_string()))
}

async fn show(session: Session) -> Result<HttpResponse, Error> {
    let user = session.get::<String>("user")?.unwrap_or_default();
    let counter = session.get::<u32>("counter")?.unwrap_or_default();
    Ok(HttpResponse::Ok().body(format!("{user} {counter}")))
}

async fn sign_in(session: Session) -> Result<HttpResponse, Error> {
    session.insert("user", "ferris")?;
    session.renew();
    Ok(HttpResponse::Ok().finish())
}

async fn sign_out(session: Session) -> HttpResponse {
    session.purge();
    HttpResponse::Ok().finish()
}

async fn slow(session: Session, gate: web::Data<Gate>) -> Result<HttpResponse, Error> {
    session.insert("seen", true)?;
    gate.arrived.notify_one();
    gate.opened.notified().await;
    Ok(HttpResponse::Ok().finish())
}

async fn slow_show(session: Session, gate: web::Data<Gate>) -> Result<HttpResponse, Error> {
    gate.arrived.notify_one();
    gate.opened.notified().await;
    show(session).await
}

/// The application, whose session store is the one line that differs.
async fn app(
    store: &Arc<dyn Store>,
    security: CookieContentSecurity,
    policy: TtlExtensionPolicy,
    gate: web::Data<Gate>,
) -> impl Service<actix_http::Request, Response = Response, Error = Error> {
    let sessions =
        SessionMiddleware::builder(ActixSessionStore::new(store.clone()), Key::generate())
            .cookie_content_security(security)
            .session_lifecycle(
                PersistentSession::default()
                    .session_ttl(TTL)
                    .session_ttl_extension_policy(policy),
            )
            .build();
    let app = App::new()
        .app_data(gate)
        .wrap(sessions)
        .route("/count", web::post().to(count))
        .route("/show", web::get().to(show))
        .route("/sign-in", web::post().to(sign_in))
        .route("/sign-out", web::post().to(sign_out))
        .route("/slow", web::post().to(slow))
        .route("/slow-show", web::get().to(slow_show));
    test::init_service(app).await
}

async fn plain(
    store: &Arc<dyn Store>,
) -> impl Service<actix_http::Request, Response = Response, Error = Error> {
    let policy = TtlExtensionPolicy::OnStateChanges;
    app(
        store,
        CookieContentSecurity::Private,
        policy,
        web::Data::default(),
    )
    .await
}

async fn send(
    app: &impl Service<actix_http::Request, Response = Response, Error = Error>,
    path: &str,
    cookie: Option<&Cookie<'static>>,
) -> Response {
    let request = match path {
        "/show" | "/slow-show" => TestRequest::get(),
        _ => TestRequest::post(),
    };
    let request = request.uri(path);
    let request = match cookie {
        Some(cookie) => request.cookie(cookie.clone()),
        None => request,
    };
    match app.call(request.to_request()).await {
        Ok(response) => response,
        // What the server would answer.
        Err(error) => ServiceResponse::new(
            TestRequest::default().to_http_request(),
            error.error_response(),
        ),
    }
}

fn cookie(response: &Response) -> Option<Cookie<'static>> {
    let mut cookies = response.response().cookies();
    cookies.next().map(Cookie::into_owned)
}

async fn body(response: Response) -> String {
    let bytes = test::read_body(response).await;
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn entries_come_back_with_the_cookie(store: Arc<dyn Store>) {
    for security in [
        CookieContentSecurity::Private,
        CookieContentSecurity::Signed,
    ] {
        let policy = TtlExtensionPolicy::OnStateChanges;
        let app = app(&store, security, policy, web::Data::default()).await;
        let first = send(&app, "/count", None).await;
        let cookie = cookie(&first).unwrap();
        assert_eq!(body(first).await, "1");
        assert_eq!(body(send(&app, "/count", Some(&cookie)).await).await, "2");
        assert_eq!(body(send(&app, "/show", Some(&cookie)).await).await, " 2");
        assert_eq!(body(send(&app, "/show", None).await).await, " 0");
    }
}

async fn the_cookie_is_sent_again_only_with_a_change(store: Arc<dyn Store>) {
    let app = plain(&store).await;
    let first = cookie(&send(&app, "/count", None).await).unwrap();
    assert_eq!(first.max_age(), Some(TTL));
    assert!(cookie(&send(&app, "/show", Some(&first)).await).is_none());
    let again = cookie(&send(&app, "/count", Some(&first)).await).unwrap();
    assert_eq!(again.max_age(), Some(TTL));
    assert!(cookie(&send(&app, "/show", None).await).is_none());
}

async fn every_request_extends_where_that_is_configured(store: Arc<dyn Store>) {
    let security = CookieContentSecurity::Private;
    let policy = TtlExtensionPolicy::OnEveryRequest;
    let app = app(&store, security, policy, web::Data::default()).await;
    let first = cookie(&send(&app, "/count", None).await).unwrap();
    let again = cookie(&send(&app, "/show", Some(&first)).await).unwrap();
    assert_eq!(again.max_age(), Some(TTL));
    assert_eq!(body(send(&app, "/show", Some(&again)).await).await, " 1");
}

async fn renewing_gives_a_new_key_and_ends_the_old(store: Arc<dyn Store>) {
    let app = plain(&store).await;
    let old = cookie(&send(&app, "/count", None).await).unwrap();
    let new = cookie(&send(&app, "/sign-in", Some(&old)).await).unwrap();
    assert_eq!(
        body(send(&app, "/show", Some(&new)).await).await,
        "ferris 1"
    );
    assert_eq!(body(send(&app, "/show", Some(&old)).await).await, " 0");
}

async fn purging_ends_the_session_and_removes_the_cookie(store: Arc<dyn Store>) {
    let app = plain(&store).await;
    let held = cookie(&send(&app, "/sign-in", None).await).unwrap();
    let removal = cookie(&send(&app, "/sign-out", Some(&held)).await).unwrap();
    assert_eq!(
        (removal.value(), removal.max_age()),
        ("", Some(Duration::ZERO))
    );
    assert_eq!(body(send(&app, "/show", Some(&held)).await).await, " 0");
}

async fn a_cookie_that_was_tampered_with_is_no_session(store: Arc<dyn Store>) {
    let app = plain(&store).await;
    let mut held = cookie(&send(&app, "/sign-in", None).await).unwrap();
    let forged = format!("A{}", held.value());
    held.set_value(forged);
    assert_eq!(body(send(&app, "/show", Some(&held)).await).await, " 0");
}

async fn purge_wins_over_a_slow_request(store: Arc<dyn Store>) {
    let gate = web::Data::new(Gate::default());
    let security = CookieContentSecurity::Private;
    let policy = TtlExtensionPolicy::OnStateChanges;
    let app = app(&store, security, policy, gate.clone()).await;
    let held = cookie(&send(&app, "/sign-in", None).await).unwrap();
    let signed_out = async {
        gate.arrived.notified().await;
        send(&app, "/sign-out", Some(&held)).await;
        gate.opened.notify_one();
    };
    let (slow, ()) = tokio::join!(send(&app, "/slow", Some(&held)), signed_out);
    assert_eq!(slow.status(), 500);
    assert!(cookie(&slow).is_none());
    assert_eq!(body(send(&app, "/show", Some(&held)).await).await, " 0");
}

/// It would have the old key, over the new one that the browser has got meanwhile.
async fn a_slow_request_that_only_reads_sends_no_cookie_after_a_renewal(store: Arc<dyn Store>) {
    let gate = web::Data::new(Gate::default());
    let security = CookieContentSecurity::Private;
    let policy = TtlExtensionPolicy::OnEveryRequest;
    let app = app(&store, security, policy, gate.clone()).await;
    let old = cookie(&send(&app, "/count", None).await).unwrap();
    let renewed = async {
        gate.arrived.notified().await;
        let renewed = send(&app, "/sign-in", Some(&old)).await;
        gate.opened.notify_one();
        cookie(&renewed).unwrap()
    };
    let (slow, new) = tokio::join!(send(&app, "/slow-show", Some(&old)), renewed);
    assert_eq!(slow.status(), 500);
    assert!(cookie(&slow).is_none());
    assert_eq!(
        body(send(&app, "/show", Some(&new)).await).await,
        "ferris 1"
    );
}
