//! One HTTP call to one node: bounded in time and bytes.

use std::{error::Error, time::Duration};

use countersign_types::{Bytes, Failure, FailureKind, api::Problem};
use reqwest::{Method, Response, Url, header};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::NodeError;

/// The most bytes of a problem.
const MAX_PROBLEM_BYTES: usize = 256 << 10;
/// How long a node may take to say how it is.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// What is asked, of whichever node.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// From the node's base, without a leading slash.
    pub(crate) path: String,
    /// JSON, serialised once for all nodes.
    pub(crate) body: Option<Bytes>,
    /// The most bytes of a right answer.
    pub(crate) limit: usize,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>, limit: usize) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, limit }
    }

    pub(crate) fn post(path: impl Into<String>, body: Bytes, limit: usize) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body), limit }
    }

    /// Asks one node, within a time; the answer's bytes if it is a success.
    pub(crate) async fn ask_within(
        &self,
        http: &reqwest::Client,
        node: &Url,
        within: Duration,
    ) -> Result<Vec<u8>, NodeError> {
        let said = tokio::time::timeout(within, self.ask(http, node)).await;
        said.map_or(Err(NodeError::Timeout { waited: within }), |said| said.body)
    }

    /// Asks one node, however long it takes.
    pub(crate) async fn ask(&self, http: &reqwest::Client, node: &Url) -> Said {
        let mut retry_after = None;
        let body = self.exchange(http, node, &mut retry_after).await;
        Said { body, retry_after }
    }

    async fn exchange(
        &self,
        http: &reqwest::Client,
        node: &Url,
        retry_after: &mut Option<Duration>,
    ) -> Result<Vec<u8>, NodeError> {
        let url =
            node.join(&self.path).map_err(|error| NodeError::Unreachable { reason: error.to_string() })?;
        let mut call = http.request(self.method.clone(), url);
        if let Some(body) = &self.body {
            call = call.header(header::CONTENT_TYPE, "application/json").body(body.0.clone());
        }
        let response = call.send().await.map_err(unreachable)?;
        let status = response.status();
        *retry_after = seconds(response.headers());
        if status.is_success() {
            read(response, self.limit).await
        } else {
            let body = read(response, MAX_PROBLEM_BYTES).await?;
            Err(problem(status.as_u16(), &body).map_or_else(|error| error, NodeError::Failure))
        }
    }
}

/// What a node said.
pub(crate) struct Said {
    /// The answer's bytes, if it is a success.
    pub(crate) body: Result<Vec<u8>, NodeError>,
    /// When it wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

/// Whether a node says that it can sign.
pub(crate) async fn how_it_is(http: &reqwest::Client, node: &Url) -> Result<bool, NodeError> {
    let call = Call::get("readyz", MAX_PROBLEM_BYTES);
    match call.ask_within(http, node, READY_TIMEOUT).await {
        Ok(_) => Ok(true),
        Err(NodeError::Failure(failure)) => Ok(failure.kind != FailureKind::NotReady),
        // something before the node does not let this through: the node is there
        Err(NodeError::Unexpected { status: ..500, .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// `Retry-After` in seconds; a date is for clocks that agree.
fn seconds(headers: &header::HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Parses a success's body.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, NodeError> {
    serde_json::from_slice(body).map_err(|error| unexpected(200, body, &error))
}

/// A body that is none of this interface's. One that is no JSON at all is no node's.
fn unexpected(status: u16, body: &[u8], error: &serde_json::Error) -> NodeError {
    let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
    let reason = match status {
        _ if is_json => error.to_string(),
        500.. => "what answers is no node, a proxy before it perhaps".into(),
        _ => "this is no node's interface".into(),
    };
    NodeError::Unexpected { status, reason }
}

async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, NodeError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > most {
            return Err(NodeError::TooLong { most });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn problem(status: u16, body: &[u8]) -> Result<Failure, NodeError> {
    let problem: Problem = serde_json::from_slice(body).map_err(|error| unexpected(status, body, &error))?;
    let kind = problem.kind.clone();
    problem
        .into_failure()
        .ok_or_else(|| NodeError::Unexpected { status, reason: format!("unknown problem {:.80}", kind) })
}

fn unreachable(error: reqwest::Error) -> NodeError {
    let mut innermost: &(dyn Error + 'static) = &error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    NodeError::Unreachable { reason: in_words(&innermost.to_string()) }
}

/// A cause as people read it: without the system's number, in lower case; and what TLS says of a peer that does not speak it.
fn in_words(cause: &str) -> String {
    // rustls' word for bytes that begin no record
    if cause.contains("InvalidContentType") {
        return "it does not speak TLS: http:// perhaps".into();
    }
    let cause = cause.split(" (os error ").next().unwrap_or(cause);
    match cause.strip_prefix(|first: char| first.is_ascii_uppercase()) {
        Some(rest) if rest.starts_with(|second: char| second.is_ascii_lowercase()) => {
            format!("{}{rest}", cause[..1].to_ascii_lowercase())
        }
        Some(_) | None => cause.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_in_words() {
        for (cause, told) in [
            ("Connection refused (os error 111)", "connection refused"),
            ("received corrupt message of type InvalidContentType", "it does not speak TLS: http:// perhaps"),
            ("TLS is needed", "TLS is needed"),
            ("connection closed before message completed", "connection closed before message completed"),
            ("", ""),
        ] {
            assert_eq!(in_words(cause), told);
        }
    }

    #[test]
    fn what_is_no_json_is_no_nodes() {
        let reason = |status, body: &[u8]| {
            let Err(NodeError::Unexpected { reason, .. }) = problem(status, body) else {
                panic!("{status}: {body:?} is a problem")
            };
            reason
        };
        for body in [&b""[..], b"<html>", b"Not Found"] {
            assert_eq!(reason(404, body), "this is no node's interface");
            assert!(reason(502, body).contains("a proxy"), "{body:?}");
            let success = parse::<Problem>(body).expect_err("no JSON").to_string();
            assert!(success.ends_with("this is no node's interface"), "{success}");
        }
        assert!(reason(404, b"{}").contains("missing field"), "{}", reason(404, b"{}"));
    }
}
