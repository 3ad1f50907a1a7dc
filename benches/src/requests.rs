//! Requests through the middleware, over the memory store.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, header::COOKIE},
    routing::get,
};
use cloakroom::{MemoryStore, Result, Session, SessionLayer};
use tower::Service;

/// What the handler does with the session of a signed-in visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// There is no layer.
    NoLayer,
    /// The handler does not ask for the session.
    Unused,
    /// It reads a value.
    Read,
    /// It reads a value and inserts another.
    Modified,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NoLayer, Self::Unused, Self::Read, Self::Modified];

    /// As it stands in the reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoLayer => "no layer",
            Self::Unused => "unused",
            Self::Read => "read",
            Self::Modified => "modified",
        }
    }

    /// An application and a visitor of it who has a session.
    pub async fn visitor(self) -> Visitor {
        let handler = match self {
            Self::NoLayer | Self::Unused => get(async || "ok"),
            Self::Read => get(read),
            Self::Modified => get(modify),
        };
        let mut visitor = Visitor {
            router: Router::new().route("/", handler).route("/new", get(modify)),
            cookie: HeaderValue::from_static(""),
        };
        if self != Self::NoLayer {
            let layer = SessionLayer::new(MemoryStore::new());
            visitor.router = visitor.router.layer(layer);
            let response = visitor.answer("/new").await;
            let cookie = response.headers()["set-cookie"].to_str().expect("ASCII");
            let (pair, _) = cookie.split_once(';').expect("attributes");
            visitor.cookie = pair.parse().expect("a header's value");
        } else {
            let cookie = format!("__Host-id={}", "A".repeat(43));
            visitor.cookie = cookie.parse().expect("a header's value");
        }
        visitor
    }
}

/// Somebody who makes one request after another.
#[derive(Clone, Debug)]
pub struct Visitor {
    router: Router,
    /// Requests share its bytes, as those of a server share the buffer that they were read into.
    cookie: HeaderValue,
}

impl Visitor {
    /// Makes one request.
    pub async fn visit(&mut self) {
        let response = self.answer("/").await;
        assert_eq!(response.status(), 200);
    }

    async fn answer(&mut self, path: &str) -> Response<Body> {
        let request = Request::get(path).header(COOKIE, self.cookie.clone());
        let request = request.body(Body::empty()).expect("a request");
        let Ok(response) = self.router.call(request).await;
        response
    }
}

async fn read(session: Session) -> Result<&'static str> {
    let visits = session.get::<u64>("visits")?;
    assert!(visits.is_some());
    Ok("ok")
}

async fn modify(session: Session) -> Result<&'static str> {
    let visits = session.get::<u64>("visits")?.unwrap_or(0);
    session.insert("visits", &(visits + 1))?;
    Ok("ok")
}
