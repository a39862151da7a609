//! What an operator sees of every call: a span with a request id, a counter and a histogram.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, Method},
    middleware::Next,
    response::Response,
};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, histogram};
use tower_http::request_id::{MakeRequestId, MakeRequestUuid};
use tracing::Instrument;

/// The calls that were answered, by method, route and status.
pub(crate) const REQUESTS: &str = "countersign_api_requests_total";
/// How long answers took, in seconds, by route.
pub(crate) const SECONDS: &str = "countersign_api_request_seconds";
/// The connections that are open.
pub(crate) const CONNECTIONS: &str = "countersign_api_connections";

/// The header that tells a client its request id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Describes the metrics to whatever recorder is installed.
pub(crate) fn describe() {
    describe_counter!(REQUESTS, "HTTP calls answered, by method, route and status");
    describe_histogram!(SECONDS, metrics::Unit::Seconds, "time to answer an HTTP call, by route");
    describe_gauge!(CONNECTIONS, "open HTTP connections");
}

/// Runs a call in its span and counts it. Ids are the node's own: a client's text does not enter the log.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = method_label(request.method());
    let id = MakeRequestUuid.make_request_id(&request).map(|id| id.into_header_value());
    let span = tracing::info_span!(
        "http",
        method,
        route,
        request_id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default(),
    );
    let begun = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status().as_u16(), begun.elapsed());
    span.in_scope(|| tracing::debug!(status, elapsed_us = elapsed.as_micros(), "answered"));
    counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    histogram!(SECONDS, "route" => route).record(elapsed);
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Methods are a client's to choose, so that only known ones become label values.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        _ => "other",
    }
}
