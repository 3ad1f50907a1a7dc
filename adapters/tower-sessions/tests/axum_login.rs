//! An application on axum-login, on each of our stores. PostgreSQL needs a server:
//! `scripts/with-servers`.

use std::{collections::HashSet, convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, Request, StatusCode, header},
    routing::{get, post},
};
use axum_login::{
    AuthManagerLayerBuilder, AuthUser, AuthnBackend, AuthzBackend, login_required,
    permission_required,
    tower_sessions::{SessionManagerLayer, SessionStore},
};
use cloakroom_store_api::SessionStore as Store;
use cloakroom_test_stores::on_every_store;
use cloakroom_tower_sessions::TowerSessionsStore;
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_sessions_memory_store::MemoryStore;

on_every_store!(
    a_user_signs_in_and_out,
    a_wrong_password_signs_nobody_in,
    a_permission_opens_its_door_only,
    signing_in_gives_a_new_id,
    logout_wins_over_a_slow_request,
    a_user_is_signed_out_everywhere,
);

type AuthSession = axum_login::AuthSession<Users>;

/// Two users, by id: one may restock.
#[derive(Clone, Debug)]
struct Users;

#[derive(Clone, Debug)]
struct User(u64);

impl AuthUser for User {
    type Id = u64;

    fn id(&self) -> u64 {
        self.0
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"hash of the password"
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = u64;
    type Error = Infallible;

    async fn authenticate(&self, id: u64) -> Result<Option<User>, Infallible> {
        self.get_user(&id).await
    }

    async fn get_user(&self, id: &u64) -> Result<Option<User>, Infallible> {
        Ok((1..=2).contains(id).then_some(User(*id)))
    }
}

impl AuthzBackend for Users {
    type Permission = String;

    async fn get_user_permissions(&self, user: &User) -> Result<HashSet<String>, Infallible> {
        let may = (user.id() == 1).then(|| "restock".to_owned());
        Ok(may.into_iter().collect())
    }
}

/// Where a slow request waits.
#[derive(Clone, Debug, Default)]
struct Gate {
    arrived: Arc<Notify>,
    opened: Arc<Notify>,
}

/// The application, whose session store is the one line that differs.
fn app(store: impl SessionStore + Clone, gate: &Gate) -> Router {
    let sessions = SessionManagerLayer::new(store);
    let Gate { arrived, opened } = gate.clone();
    let slow = async move |auth: AuthSession| {
        auth.session.insert("seen", true).await.unwrap();
        arrived.notify_one();
        opened.notified().await;
    };
    Router::new()
        .route("/restock", get(async || "restocked"))
        .route_layer(permission_required!(Users, "restock"))
        .route("/slow", get(slow))
        .route("/me", get(me))
        .route_layer(login_required!(Users))
        .route("/login/{id}", post(login))
        .route("/logout", post(logout))
        .route("/visit", post(visit))
        .layer(AuthManagerLayerBuilder::new(Users, sessions).build())
}

async fn login(mut auth: AuthSession, Path(id): Path<u64>) -> StatusCode {
    match auth.authenticate(id).await.unwrap() {
        Some(user) => {
            auth.login(&user).await.unwrap();
            StatusCode::OK
        }
        None => StatusCode::UNAUTHORIZED,
    }
}

async fn logout(mut auth: AuthSession) {
    auth.logout().await.unwrap();
}

async fn visit(auth: AuthSession) {
    auth.session.insert("visited", true).await.unwrap();
}

async fn me(auth: AuthSession) -> String {
    auth.user.unwrap().id().to_string()
}

/// One browser: it keeps the cookie that it is given.
#[derive(Clone)]
struct Browser {
    app: Router,
    cookie: Option<String>,
}

impl Browser {
    fn new(store: &Arc<dyn Store>) -> Self {
        Self::beside(TowerSessionsStore::new(store.clone()), &Gate::default())
    }

    fn beside(store: impl SessionStore + Clone, gate: &Gate) -> Self {
        Self {
            app: app(store, gate),
            cookie: None,
        }
    }

    async fn send(&mut self, method: &str, path: &str) -> (StatusCode, String) {
        let (status, headers, body) = self.ask(method, path).await;
        if let Some(cookie) = headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let removed = attributes.contains("Max-Age=0");
            self.cookie = (!removed).then(|| pair.to_owned());
        }
        (status, body)
    }

    /// A request whose answer comes too late for the cookie jar.
    async fn ask(&self, method: &str, path: &str) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let (head, body) = self
            .app
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (head.status, head.headers, body)
    }

    async fn signed_in(mut self, id: u64) -> Self {
        let (status, _) = self.send("POST", &format!("/login/{id}")).await;
        assert_eq!(status, StatusCode::OK);
        self
    }

    async fn status(&mut self, path: &str) -> StatusCode {
        self.send("GET", path).await.0
    }
}

const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;

async fn a_user_signs_in_and_out(store: Arc<dyn Store>) {
    let mut browser = Browser::new(&store);
    assert_eq!(browser.status("/me").await, UNAUTHORIZED);
    let mut browser = browser.signed_in(2).await;
    let (status, user) = browser.send("GET", "/me").await;
    assert_eq!((status, &*user), (StatusCode::OK, "2"));
    let stolen = browser.clone();
    browser.send("POST", "/logout").await;
    assert_eq!(browser.cookie, None);
    for mut browser in [browser, stolen] {
        assert_eq!(browser.status("/me").await, UNAUTHORIZED);
    }
}

async fn a_wrong_password_signs_nobody_in(store: Arc<dyn Store>) {
    let mut browser = Browser::new(&store);
    let (status, _) = browser.send("POST", "/login/3").await;
    assert_eq!((status, &browser.cookie), (UNAUTHORIZED, &None));
    assert_eq!(browser.status("/me").await, UNAUTHORIZED);
}

async fn a_permission_opens_its_door_only(store: Arc<dyn Store>) {
    let mut nobody = Browser::new(&store);
    let mut keeper = Browser::new(&store).signed_in(1).await;
    let mut guest = Browser::new(&store).signed_in(2).await;
    assert_ne!(nobody.status("/restock").await, StatusCode::OK);
    assert_eq!(keeper.status("/restock").await, StatusCode::OK);
    assert_eq!(guest.status("/restock").await, StatusCode::FORBIDDEN);
    assert_eq!(guest.status("/me").await, StatusCode::OK);
}

async fn signing_in_gives_a_new_id(store: Arc<dyn Store>) {
    let mut browser = Browser::new(&store);
    browser.send("POST", "/visit").await;
    let fixed = browser.clone();
    assert!(fixed.cookie.is_some());
    let mut browser = browser.signed_in(1).await;
    assert_ne!(browser.cookie, fixed.cookie);
    assert_eq!(browser.status("/me").await, StatusCode::OK);
    assert_eq!({ fixed }.status("/me").await, UNAUTHORIZED);
}

/// What became of a sign-out while a request of the same session was on its way.
async fn logout_during_a_request(store: impl SessionStore + Clone) -> (StatusCode, bool, Browser) {
    let gate = Gate::default();
    let mut browser = Browser::beside(store, &gate).signed_in(1).await;
    let stolen = browser.clone();
    let slow = browser.clone();
    let slow = tokio::spawn(async move { slow.ask("GET", "/slow").await });
    gate.arrived.notified().await;
    browser.send("POST", "/logout").await;
    gate.opened.notify_one();
    let (status, headers, _) = slow.await.unwrap();
    (status, headers.contains_key(header::SET_COOKIE), stolen)
}

async fn logout_wins_over_a_slow_request(store: Arc<dyn Store>) {
    let store = TowerSessionsStore::new(store);
    let (status, sets_cookie, mut browser) = logout_during_a_request(store).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!sets_cookie);
    assert_eq!(browser.status("/me").await, UNAUTHORIZED);
}

/// What the test above is about: tower-sessions' own store inserts on save, and signs the user in
/// again.
#[tokio::test]
async fn a_store_that_inserts_on_save_loses_the_logout() {
    let (status, sets_cookie, mut browser) = logout_during_a_request(MemoryStore::default()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(sets_cookie);
    assert_eq!(browser.status("/me").await, StatusCode::OK);
}

async fn a_user_is_signed_out_everywhere(store: Arc<dyn Store>) {
    let sessions = TowerSessionsStore::new(store.clone()).owner(|entries| {
        let user = entries.get("axum-login.data")?.get("user_id")?.as_u64()?;
        user.to_string().parse().ok()
    });
    let browser = Browser::beside(sessions, &Gate::default());
    let mut devices = [
        browser.clone().signed_in(1).await,
        browser.clone().signed_in(1).await,
    ];
    let mut other = browser.signed_in(2).await;
    assert_eq!(store.expire_owner("1", None).await.unwrap(), 2);
    for device in &mut devices {
        assert_eq!(device.status("/me").await, UNAUTHORIZED);
    }
    assert_eq!(other.status("/me").await, StatusCode::OK);
}
