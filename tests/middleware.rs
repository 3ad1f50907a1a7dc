//! The rules of the middleware, over HTTP. Each test's documentation names its rule.

#[path = "middleware/acts.rs"]
mod acts;
#[path = "middleware/cookies.rs"]
mod cookies;
#[path = "middleware/lazy.rs"]
mod lazy;
#[path = "middleware/lifetimes.rs"]
mod lifetimes;
#[path = "middleware/limits.rs"]
mod limits;
#[path = "middleware/metrics.rs"]
mod metrics;
#[path = "middleware/nested.rs"]
mod nested;
#[path = "middleware/outages.rs"]
mod outages;
#[path = "middleware/responses.rs"]
mod responses;
#[path = "middleware/support.rs"]
mod support;
#[path = "middleware/updates.rs"]
mod updates;
