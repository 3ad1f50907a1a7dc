//! Requests to an application with a session, without a connection.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use cloakroom::{Session, SessionHandle, SessionLayer};
use http::{HeaderValue, Request, Response, header};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    task::JoinHandle,
};
use tower_layer::Layer;
use tower_service::Service;

pub fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs no threads")
}

/// A request whose handler has loaded its session and waits.
pub struct Pending {
    pub session: Session,
    answer: JoinHandle<Response<String>>,
    go_on: oneshot::Sender<()>,
}

impl Pending {
    /// Begins a request with these `Cookie` headers.
    pub async fn begin(layer: &SessionLayer, cookies: Vec<HeaderValue>) -> Self {
        let mut request = Request::new(String::new());
        for cookie in cookies {
            request.headers_mut().append(header::COOKIE, cookie);
        }
        let (tell, told) = oneshot::channel();
        let (go_on, wait) = oneshot::channel();
        let mut service = layer.layer(Handler(Some((tell, wait))));
        let answer = tokio::spawn(async move {
            let Ok(response) = service.call(request).await;
            response
        });
        let session = told.await.expect("the handler tells");
        Self {
            session,
            answer,
            go_on,
        }
    }

    /// Lets the handler return.
    pub async fn end(self) -> Response<String> {
        let Self {
            session,
            answer,
            go_on,
        } = self;
        drop(session);
        go_on.send(()).expect("the handler waits");
        answer.await.expect("it does not panic")
    }
}

/// The value of the cookie that a response sets.
pub fn token(response: &Response<String>) -> Option<String> {
    let cookie = response.headers().get(header::SET_COOKIE)?;
    let cookie = cookie::Cookie::parse(cookie.to_str().expect("it is ASCII")).expect("it is one");
    Some(cookie.value().to_owned())
}

type Wait = (oneshot::Sender<Session>, oneshot::Receiver<()>);

/// Handles one request.
struct Handler(Option<Wait>);

impl Service<Request<String>> for Handler {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let (tell, wait) = self.0.take().expect("it is called once");
        Box::pin(async move {
            let handle: &SessionHandle = request.extensions().get().expect("the layer is there");
            let session = handle.load().await.expect("memory does not fail");
            let _ = tell.send(session);
            let _ = wait.await;
            Ok(Response::new(String::new()))
        })
    }
}
