//! A user who knows what each answer has to be.

use std::{
    ops::AddAssign,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::http::Method;
use tokio::{sync::watch, time::sleep};

use crate::{
    app::IDLE,
    client::{Answer, Browser},
    nodes::Node,
};

/// What users have seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u64,
    pub(crate) unavailable: u64,
    pub(crate) unanswered: u64,
    /// Somebody else's session, or one that is none's.
    pub(crate) foreign: u64,
    /// A session after its sign-out was answered.
    pub(crate) revived: u64,
    /// A session, or an increment, that was answered and is gone.
    pub(crate) lost: u64,
    /// More increments than were asked for.
    pub(crate) too_many: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, more: Self) {
        self.answered += more.answered;
        self.unavailable += more.unavailable;
        self.unanswered += more.unanswered;
        self.foreign += more.foreign;
        self.revived += more.revived;
        self.lost += more.lost;
        self.too_many += more.too_many;
    }
}

pub(crate) struct Canary {
    name: String,
    nodes: Arc<[Node; 2]>,
    total: Arc<Mutex<Seen>>,
    seen: Seen,
    browser: Browser,
    /// The session that it has, if it has one.
    session: Option<Held>,
    /// Cookies whose sessions have ended.
    ended: Vec<String>,
}

/// What is known of a session.
struct Held {
    /// Increments that were answered, and those that were asked for.
    acked: u64,
    asked: u64,
    used: Instant,
    /// An act was asked for and not answered: it may have been done.
    is_unsure: bool,
}

impl Canary {
    pub(crate) fn new(number: usize, nodes: Arc<[Node; 2]>, total: Arc<Mutex<Seen>>) -> Self {
        Self {
            name: format!("user-{number}"),
            nodes,
            total,
            seen: Seen::default(),
            browser: Browser::new(),
            session: None,
            ended: Vec::new(),
        }
    }

    /// Uses the application until it is told to stop.
    pub(crate) async fn live(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            match (&self.session, fastrand::u8(..100)) {
                (None, _) => self.sign_in().await,
                (_, 0..50) => self.look().await,
                (_, 50..80) => self.count().await,
                (_, 80..88) => self.rotate().await,
                (_, 88..93) => self.sign_out().await,
                (_, 93..96) => self.forget(),
                _ => self.look_back().await,
            }
            *self.total.lock().expect("nobody panicked") += std::mem::take(&mut self.seen);
            sleep(Duration::from_millis(fastrand::u64(..120))).await;
        }
    }

    async fn ask(&mut self, method: Method, path: &str) -> Answer {
        let answer = match fastrand::choice(&*self.nodes).and_then(Node::address) {
            Some(node) => self.browser.ask(node, method, path).await,
            None => Answer::Lost,
        };
        self.note(&answer);
        answer
    }

    fn note(&mut self, answer: &Answer) {
        match answer {
            Answer::Ok(_) => self.seen.answered += 1,
            Answer::Unavailable => self.seen.unavailable += 1,
            Answer::Lost => self.seen.unanswered += 1,
        }
    }

    async fn sign_in(&mut self) {
        self.browser.cookie = None;
        let path = format!("/sign-in/{}", self.name);
        if let Answer::Ok(_) = self.ask(Method::POST, &path).await {
            self.session = Some(Held {
                acked: 0,
                asked: 0,
                used: Instant::now(),
                is_unsure: false,
            });
        }
    }

    async fn look(&mut self) {
        let began = Instant::now();
        if let Answer::Ok(said) = self.ask(Method::GET, "/me").await {
            self.judge(&said, began);
        }
    }

    async fn count(&mut self) {
        let began = Instant::now();
        self.held().asked += 1;
        if let Answer::Ok(said) = self.ask(Method::POST, "/count").await {
            self.held().acked += 1;
            self.judge(&said, began);
        }
    }

    /// What an answer says of the session.
    fn judge(&mut self, said: &str, began: Instant) {
        let held = self.session.as_mut().expect("it has a session");
        if said.is_empty() {
            // A clock of the server judges, which may be a little ahead.
            let is_over = held.used.elapsed() + Duration::from_secs(1) >= IDLE;
            self.seen.lost += u64::from(!is_over && !held.is_unsure);
            self.session = None;
            return;
        }
        held.used = began;
        let [owner, canary, count] = said.split(' ').collect::<Vec<_>>()[..] else {
            self.seen.foreign += 1;
            return;
        };
        self.seen.foreign += u64::from(owner != self.name || canary != self.name);
        let count: u64 = count.parse().unwrap_or_default();
        self.seen.lost += u64::from(count < held.acked);
        self.seen.too_many += u64::from(count > held.asked);
        held.acked = held.acked.max(count);
    }

    async fn rotate(&mut self) {
        let old = self.browser.cookie.clone();
        match self.ask(Method::POST, "/rotate").await {
            Answer::Ok(_) => self.ended.extend(old),
            Answer::Unavailable | Answer::Lost => self.held().is_unsure = true,
        }
    }

    async fn sign_out(&mut self) {
        let old = self.browser.cookie.clone();
        match self.ask(Method::POST, "/sign-out").await {
            Answer::Ok(_) => {
                self.ended.extend(old);
                self.session = None;
            }
            Answer::Unavailable | Answer::Lost => self.held().is_unsure = true,
        }
    }

    /// Closes the browser. The session is left to be swept.
    fn forget(&mut self) {
        self.session = None;
    }

    /// Tries the cookie of a session that has ended.
    async fn look_back(&mut self) {
        let Some(cookie) = fastrand::choice(&self.ended).cloned() else {
            return;
        };
        let node = fastrand::choice(&*self.nodes).and_then(Node::address);
        let Some(node) = node else { return };
        let mut browser = self.browser.clone();
        browser.cookie = Some(cookie);
        let answer = browser.ask(node, Method::GET, "/me").await;
        self.note(&answer);
        self.seen.revived += u64::from(matches!(answer, Answer::Ok(said) if !said.is_empty()));
        if self.ended.len() > 8 {
            self.ended.remove(0);
        }
    }

    fn held(&mut self) -> &mut Held {
        self.session.as_mut().expect("it has a session")
    }
}
