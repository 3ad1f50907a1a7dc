use std::time::Duration;

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    routing::get,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::interval;

/// Where a store call's time is looked at, in seconds: a memory store takes microseconds, and
/// after five seconds a call has failed.
const SECONDS: [f64; 16] = [
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 5.0,
];

/// Counts from now on, and shows it at `/metrics` in the text format of Prometheus.
///
/// Whoever can ask this program can read it: in production serve it on an address of its own.
pub(crate) fn metrics() -> Result<Router, BuildError> {
    let recorded = PrometheusBuilder::new()
        // Buckets of several nodes can be added up; quantiles, the default, cannot.
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    cloakroom::describe_metrics();
    tokio::spawn(keep_small(recorded.clone()));
    let show = async move || {
        let headers = [
            (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
        ];
        (headers, recorded.render())
    };
    Ok(Router::new().route("/metrics", get(show)))
}

/// Until they are sorted into buckets, every measured call is kept.
async fn keep_small(recorded: PrometheusHandle) {
    let mut ticks = interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        recorded.run_upkeep();
    }
}
