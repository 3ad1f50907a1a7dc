//! Clients that want no good, or are unlucky. The sizes are small; `CLOAKROOM_ROUNDS` sets others.

mod cookies;
mod failures;
mod hang_ups;
mod headers;
mod ids;
mod sizes;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response, header},
};
use tower::ServiceExt;

/// Asks the application itself, without a connection.
async fn ask(router: &Router, method: &str, path: &str, cookie: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let request = request.body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn body(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.into()).unwrap()
}

/// The session's cookie that a response sets: its value.
fn set_cookie(response: &Response<Body>) -> Option<String> {
    let header = response.headers().get(header::SET_COOKIE)?;
    let pair = header.to_str().unwrap().split(';').next()?;
    Some(pair.split_once('=')?.1.to_owned())
}
