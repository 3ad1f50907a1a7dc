//! What a middleware adds to a request, over its crate's store in memory.

use std::time::{Duration, Instant};

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, header::COOKIE},
    routing::get,
};
use cloakroom_benches::requests::{Use, Visitor};
use tower::Service;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::report::rounded;

/// Nanoseconds that a request takes longer with the layer than without.
struct Cost {
    what: &'static str,
    ours: f64,
    theirs: f64,
}

pub fn table(rounds: usize, time: Duration) -> Result<String> {
    let mut text = String::from(
        "Nanoseconds that a request takes longer than without the layer.\n\n\
         | session | cloakroom | tower-sessions | part of it |\n| --- | ---: | ---: | ---: |\n",
    );
    for Cost { what, ours, theirs } in costs(rounds, time)? {
        let part = ours / theirs;
        let (ours, theirs) = (rounded(ours), rounded(theirs));
        text += &format!("| {what} | **{ours}** | {theirs} | {part:.2} |\n");
    }
    Ok(text)
}

fn costs(rounds: usize, time: Duration) -> Result<Vec<Cost>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut plain = Use::NoLayer.visitor().await;
        let mut costs = Vec::new();
        for case in [Use::Unused, Use::Read, Use::Modified] {
            let mut ours = case.visitor().await;
            let mut theirs = Theirs::new(case).await?;
            let (mut base, mut us, mut them) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                base.push(nanos(time, &mut plain, Visitor::visit).await);
                us.push(nanos(time, &mut ours, Visitor::visit).await);
                them.push(nanos(time, &mut theirs, Theirs::visit).await);
            }
            let base = crate::measure::median(base);
            costs.push(Cost {
                what: case.name(),
                ours: crate::measure::median(us) - base,
                theirs: crate::measure::median(them) - base,
            });
        }
        Ok(costs)
    })
}

async fn nanos<T>(time: Duration, visitor: &mut T, visit: impl AsyncFn(&mut T)) -> f64 {
    let (started, mut visits) = (Instant::now(), 0_u32);
    while started.elapsed() < time {
        for _ in 0..100 {
            visit(visitor).await;
        }
        visits += 100;
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(visits)
}

/// The same visitor at an application of tower-sessions.
struct Theirs {
    router: Router,
    cookie: HeaderValue,
}

impl Theirs {
    async fn new(case: Use) -> Result<Self> {
        let handler = match case {
            Use::NoLayer | Use::Unused => get(async || "ok"),
            Use::Read => get(read),
            Use::Modified => get(modify),
        };
        let router = Router::new().route("/", handler).route("/new", get(modify));
        let mut theirs = Self {
            router: router.layer(SessionManagerLayer::new(MemoryStore::default())),
            cookie: HeaderValue::from_static(""),
        };
        let response = theirs.answer("/new").await;
        let cookie = response.headers()["set-cookie"].to_str()?;
        theirs.cookie = cookie.split(';').next().unwrap_or_default().parse()?;
        Ok(theirs)
    }

    async fn visit(&mut self) {
        assert_eq!(self.answer("/").await.status(), 200);
    }

    async fn answer(&mut self, path: &str) -> axum::http::Response<Body> {
        let request = Request::get(path).header(COOKIE, self.cookie.clone());
        let request = request.body(Body::empty()).expect("a request");
        let Ok(response) = self.router.call(request).await;
        response
    }
}

async fn read(session: Session) -> &'static str {
    let visits = session
        .get::<u64>("visits")
        .await
        .expect("a store in memory");
    assert!(visits.is_some());
    "ok"
}

async fn modify(session: Session) -> &'static str {
    let visits = session
        .get::<u64>("visits")
        .await
        .expect("a store in memory");
    let visits = visits.unwrap_or(0) + 1;
    session
        .insert("visits", visits)
        .await
        .expect("a store in memory");
    "ok"
}
