//! Failures as HTTP answers: problem details (RFC 9457).

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use countersign_types::{
    Failure,
    api::{PROBLEM_PREFIX, Problem},
    failure::FailureKind,
};

use crate::TooOften;

/// The media type of problem details.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When to try again after a 429 that does not say, in seconds: places free up as fast as signatures are made.
const RETRY_BUSY_SECONDS: u64 = 1;
/// When to try again after a 503 that does not say, in seconds: nodes reconnect, operators make room.
const RETRY_UNAVAILABLE_SECONDS: u64 = 5;

/// The most characters of a caller's own text that a problem repeats.
const QUOTED_CHARS: usize = 80;

/// A failure on its way to the client.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) Failure);

impl Failed {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self(Failure::new(kind, detail))
    }
}

impl From<TooOften> for Failed {
    fn from(early: TooOften) -> Self {
        Self(Failure::new(FailureKind::Busy, early.to_string()).with_retry_after(early.wait))
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let wait = self.0.retry_after;
        answer(Problem::from(self.0), wait)
    }
}

/// `wait` is how long it is worth to wait, where that is known.
fn answer(problem: Problem, wait: Option<Duration>) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = retry_after(status, wait) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// In seconds, as the header has them: rounded up, so that whoever waits so long comes late enough.
fn retry_after(status: StatusCode, wait: Option<Duration>) -> Option<u64> {
    let wait = wait.map(|wait| wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1));
    if status == StatusCode::TOO_MANY_REQUESTS {
        Some(wait.unwrap_or(RETRY_BUSY_SECONDS))
    } else if status == StatusCode::SERVICE_UNAVAILABLE {
        Some(wait.unwrap_or(RETRY_UNAVAILABLE_SECONDS))
    } else {
        None
    }
}

/// Answers a path that is no route.
pub(crate) async fn no_route(uri: Uri) -> Failed {
    let path = quoted(uri.path());
    Failed::new(FailureKind::NotFound, format!("there is no {path}; /v1/openapi.json lists what there is"))
}

/// Answers a method that a route does not have. No failure of the domain: its type is its own.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Response {
    let problem = Problem {
        kind: format!("{PROBLEM_PREFIX}method-not-allowed"),
        title: "the route has no such method".into(),
        status: StatusCode::METHOD_NOT_ALLOWED.as_u16(),
        detail: format!("{} has no method {}", quoted(uri.path()), quoted(method.as_str())),
        nodes: Vec::new(),
        disagreement: None,
    };
    answer(problem, None)
}

/// What a client sent, short enough to be repeated.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}
