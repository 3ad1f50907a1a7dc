//! A server, a browser and a store that can be watched and made to fail.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use cloakroom::{
    MemoryStore, Result, Session, SessionLayer,
    store::{
        Age, Error as StoreError, ManualClock, Record, Result as StoreResult, Saved, SessionId,
        SessionStore, Stamp, Stats, Swept, async_trait,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The cookie of the default settings.
pub(crate) const COOKIE: &str = "__Host-id";

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A memory store on a clock of the test's, that notes its calls.
#[derive(Clone, Debug)]
pub(crate) struct Spy {
    pub(crate) clock: ManualClock,
    pub(crate) inner: MemoryStore,
    calls: Arc<Mutex<Vec<&'static str>>>,
    failing: Arc<AtomicBool>,
    conflicts: Arc<AtomicU32>,
    slow: Arc<Mutex<Duration>>,
    spoiled: Arc<AtomicBool>,
}

impl Spy {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            inner: MemoryStore::builder()
                .clock(Arc::new(clock.clone()))
                .build(),
            clock,
            calls: Arc::default(),
            failing: Arc::default(),
            conflicts: Arc::default(),
            slow: Arc::default(),
            spoiled: Arc::default(),
        }
    }

    /// The calls since it was last asked.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, SeqCst);
    }

    /// Cannot read what it has stored.
    pub(crate) fn spoil(&self, spoiled: bool) {
        self.spoiled.store(spoiled, SeqCst);
    }

    /// Answers `Conflict` to this many saves and rotations.
    pub(crate) fn conflict(&self, times: u32) {
        self.conflicts.store(times, SeqCst);
    }

    /// Takes this long for every call.
    pub(crate) fn slow(&self, delay: Duration) {
        *self.slow.lock().unwrap() = delay;
    }

    pub(crate) async fn records(&self) -> u64 {
        let stats = self.inner.stats().await.unwrap();
        stats.browser + stats.persistent
    }

    /// The only live record.
    pub(crate) async fn record(&self, browser: &Browser) -> Record {
        let token = cloakroom::store::SessionToken::parse(browser.token()).unwrap();
        self.inner
            .load(token.id())
            .await
            .unwrap()
            .expect("a live session")
    }

    async fn called(&self, call: &'static str) -> StoreResult<()> {
        self.calls.lock().unwrap().push(call);
        let delay = *self.slow.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.failing.load(SeqCst) {
            return Err(StoreError::unavailable("the test switched it off"));
        }
        Ok(())
    }

    fn conflicts(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.conflicts
            .fetch_update(SeqCst, SeqCst, one_less)
            .is_ok()
    }
}

#[async_trait]
impl SessionStore for Spy {
    async fn load(&self, id: SessionId) -> StoreResult<Option<Record>> {
        self.called("load").await?;
        let found = self.inner.load(id).await?;
        if found.is_some() && self.spoiled.load(SeqCst) {
            return Err(StoreError::corrupt(id, "wrong checksum"));
        }
        Ok(found)
    }

    async fn save(&self, record: &Record) -> StoreResult<Saved> {
        self.called("save").await?;
        if self.conflicts() {
            return Ok(Saved::Conflict);
        }
        self.inner.save(record).await
    }

    async fn touch(&self, id: SessionId, revision: u64) -> StoreResult<Option<Stamp>> {
        self.called("touch").await?;
        self.inner.touch(id, revision).await
    }

    async fn rotate(&self, old: SessionId, record: &Record, age: Age) -> StoreResult<Saved> {
        self.called("rotate").await?;
        if self.conflicts() {
            return Ok(Saved::Conflict);
        }
        self.inner.rotate(old, record, age).await
    }

    async fn expire(&self, id: SessionId) -> StoreResult<bool> {
        self.called("expire").await?;
        self.inner.expire(id).await
    }

    async fn list(&self, owner: &str) -> StoreResult<Vec<Record>> {
        self.called("list").await?;
        self.inner.list(owner).await
    }

    async fn expire_owner(&self, owner: &str, except: Option<SessionId>) -> StoreResult<u64> {
        self.called("expire_owner").await?;
        self.inner.expire_owner(owner, except).await
    }

    async fn sweep(&self, limit: NonZeroU32) -> StoreResult<Swept> {
        self.called("sweep").await?;
        self.inner.sweep(limit).await
    }

    async fn stats(&self) -> StoreResult<Stats> {
        self.inner.stats().await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.called("ping").await
    }
}

/// An application on a free port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address }
    }

    /// Everything a session can do, by path.
    pub(crate) async fn with(layer: SessionLayer) -> Self {
        Self::start(routes().layer(layer)).await
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser {
            address: self.address,
            cookies: BTreeMap::new(),
        }
    }
}

/// Keeps the cookies it is sent, as a browser does.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.request("POST", path).await
    }

    async fn request(&mut self, method: &str, path: &str) -> Answer {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let headers = match pairs.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", pairs.join("; ")),
        };
        let answer = self.raw(method, path, &headers).await;
        for line in answer.all("set-cookie") {
            let (name, rest) = line.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap().to_owned();
            match line.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value),
            };
        }
        answer
    }

    /// Sends these header lines and no cookies of its own.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = self.send(method, path, headers).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&String::from_utf8(bytes).unwrap())
    }

    /// Sends a request; the answer is the caller's to read, or not to.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
             Content-Length: 0\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    /// The token in the session's cookie.
    pub(crate) fn token(&self) -> &str {
        &self.cookies[COOKIE]
    }

    pub(crate) fn header(&self) -> String {
        format!("Cookie: {COOKIE}={}\r\n", self.token())
    }
}

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    headers: Vec<(String, String)>,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a response head");
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Self {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| &**value).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The `Set-Cookie` of this name; there is at most one (M12).
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let start = format!("{name}=");
        let cookies = self.all("set-cookie");
        let named: Vec<_> = cookies
            .iter()
            .filter(|line| line.starts_with(&start))
            .collect();
        assert!(named.len() <= 1, "{named:?}");
        named.first().map(|line| **line)
    }

    /// The `Max-Age` of the session's cookie, in seconds.
    pub(crate) fn max_age(&self) -> Option<u64> {
        let (_, rest) = self.cookie(COOKIE)?.split_once("Max-Age=")?;
        Some(rest.split(';').next()?.parse().unwrap())
    }
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/plain", get(async || "no session here"))
        .route("/look", get(async |_: Session| ()))
        .route("/get/{key}", get(read))
        .route(
            "/keys",
            get(async |session: Session| session.keys().join(",")),
        )
        .route("/set/{key}/{value}", post(set))
        .route("/set/{key}/{value}/{status}", post(set_and_answer))
        .route("/count/{key}", post(count))
        .route("/take/{key}", post(take))
        .route(
            "/remove/{key}",
            post(async |session: Session, key: Path<String>| session.remove(&key)),
        )
        .route("/clear", post(async |session: Session| session.clear()))
        .route("/remember/{persistent}", post(remember))
        .route(
            "/sign-in/{who}",
            post(async |session: Session, who: Path<String>| session.sign_in(&*who).await),
        )
        .route(
            "/rotate",
            post(async |session: Session| session.rotate().await),
        )
        .route("/end", post(async |session: Session| session.end().await))
        .route(
            "/end-others",
            post(async |session: Session| session.end_others().await.map(|n| n.to_string())),
        )
        .route("/whoami", get(whoami))
}

async fn read(session: Session, Path(key): Path<String>) -> Result<String> {
    Ok(session.get::<String>(&key)?.unwrap_or_default())
}

async fn set(session: Session, Path((key, value)): Path<(String, String)>) -> Result<()> {
    session.insert(&key, &value)
}

async fn set_and_answer(
    session: Session,
    Path((key, value, status)): Path<(String, String, u16)>,
) -> Result<StatusCode> {
    session.insert(&key, &value)?;
    Ok(StatusCode::from_u16(status).unwrap())
}

async fn count(session: Session, Path(key): Path<String>) -> Result<String> {
    let counted = session.update(&key, |count: Option<u64>| count.unwrap_or(0) + 1)?;
    Ok(counted.to_string())
}

async fn take(session: Session, Path(key): Path<String>) -> Result<String> {
    Ok(session.take::<String>(&key)?.unwrap_or_default())
}

async fn remember(session: Session, Path(persistent): Path<bool>) {
    session.remember(persistent);
}

async fn whoami(session: Session) -> Result<Json<Vec<String>>> {
    let owner = session
        .owner()
        .map(|owner| owner.to_string())
        .unwrap_or_default();
    Ok(Json(vec![owner, format!("{:?}", session.persistence())]))
}
