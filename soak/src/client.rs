//! A browser that keeps one cookie.

use std::{net::SocketAddr, time::Duration};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

/// Longer than any answer takes that an application gives.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug)]
pub(crate) struct Browser {
    client: Client<HttpConnector, Body>,
    /// As it is sent.
    pub(crate) cookie: Option<String>,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok(String),
    /// The application said that it cannot tell now: it may have been done or not.
    Unavailable,
    /// Nobody answered.
    Lost,
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            cookie: None,
        }
    }

    pub(crate) async fn ask(&mut self, node: SocketAddr, method: Method, path: &str) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{node}{path}"));
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::empty()).expect("the path is plain");
        let Ok(Ok(response)) = timeout(PATIENCE, self.client.request(request)).await else {
            return Answer::Lost;
        };
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("a cookie is ASCII");
            let pair = cookie.split(';').next().expect("there is a first part");
            let is_removal = pair.ends_with('=');
            self.cookie = (!is_removal).then(|| pair.to_owned());
        }
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), 10_000).await;
        match (status, body) {
            (StatusCode::OK, Ok(body)) => Answer::Ok(String::from_utf8_lossy(&body).into_owned()),
            (StatusCode::OK, Err(_)) => Answer::Lost,
            (StatusCode::SERVICE_UNAVAILABLE, _) => Answer::Unavailable,
            (other, _) => panic!("{path}: {other}"),
        }
    }
}
