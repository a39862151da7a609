//! Failures as HTTP answers: problem details (RFC 9457).

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

/// The media type of problem details.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// When to try again after a 429, in seconds: places free up as fast as signatures are made.
const RETRY_BUSY_SECONDS: u16 = 1;
/// When to try again after a 503, in seconds: nodes reconnect, operators make room.
const RETRY_UNAVAILABLE_SECONDS: u16 = 5;

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

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        answer(Problem::from(self.0))
    }
}

fn answer(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = retry_after(status) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn retry_after(status: StatusCode) -> Option<u16> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        Some(RETRY_BUSY_SECONDS)
    } else if status == StatusCode::SERVICE_UNAVAILABLE {
        Some(RETRY_UNAVAILABLE_SECONDS)
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
    answer(Problem {
        kind: format!("{PROBLEM_PREFIX}method-not-allowed"),
        title: "the route has no such method".into(),
        status: StatusCode::METHOD_NOT_ALLOWED.as_u16(),
        detail: format!("{} has no method {}", quoted(uri.path()), quoted(method.as_str())),
        nodes: Vec::new(),
        disagreement: None,
    })
}

/// What a client sent, short enough to be repeated.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).collect()
}
