//! What the middleware adds to a request, on the memory store: the same router without it, and
//! with it where the handler ignores the session, reads it, and changes it.

use std::hint::black_box;

use axum::{
    Router,
    body::Body,
    http::{Request, Response, header::COOKIE},
    routing::get,
};
use cloakroom::{MemoryStore, Result, Session, SessionLayer};
use criterion::{BenchmarkId, Criterion};
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceExt};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let routes = Router::new()
        .route("/unused", get(async || "ok"))
        .route("/read", get(read))
        .route("/modified", get(modify));
    let layered = routes.layer(SessionLayer::new(MemoryStore::new()));
    let cookie = runtime.block_on(sign_in(layered.clone()));

    let mut group = criterion.benchmark_group("middleware");
    let plain = Router::new().route("/unused", get(async || "ok"));
    measure(&mut group, &runtime, "no layer", &plain, "/unused", &cookie);
    measure(&mut group, &runtime, "unused", &layered, "/unused", &cookie);
    measure(&mut group, &runtime, "read", &layered, "/read", &cookie);
    measure(
        &mut group,
        &runtime,
        "modified",
        &layered,
        "/modified",
        &cookie,
    );
    group.finish();
    criterion.final_summary();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn measure(
    group: &mut Group<'_>,
    runtime: &Runtime,
    name: &str,
    router: &Router,
    path: &str,
    cookie: &str,
) {
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        let mut router = router.clone();
        bencher.iter(|| {
            let response = runtime.block_on(answer(&mut router, path, cookie));
            assert_eq!(black_box(response).status(), 200);
        });
    });
}

async fn answer(router: &mut Router, path: &str, cookie: &str) -> Response<Body> {
    let request = Request::get(path).header(COOKIE, cookie);
    let request = request.body(Body::empty()).expect("a request");
    let Ok(response) = router.call(request).await;
    response
}

async fn sign_in(router: Router) -> String {
    let request = Request::get("/modified").body(Body::empty());
    let Ok(response) = router.oneshot(request.expect("a request")).await;
    let cookie = response.headers()["set-cookie"].to_str().expect("ASCII");
    let (pair, _) = cookie.split_once(';').expect("attributes");
    pair.to_owned()
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
