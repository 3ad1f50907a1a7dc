//! The rules of the middleware, over HTTP. Each test's documentation names its rule.

mod acts;
mod after_response;
mod cookies;
mod endings;
mod hostile;
#[path = "../support/http.rs"]
mod http;
mod interleavings;
mod lazy;
mod lifetimes;
mod limits;
mod logs;
mod metrics;
mod nested;
mod outages;
mod responses;
#[path = "../support/routes.rs"]
mod routes;
mod support;
mod sweeper;
mod updates;
