//! One HTTP call to one node: bounded in time and bytes.

use std::{error::Error, time::Duration};

use countersign_types::{Bytes, Failure, api::Problem};
use reqwest::{Method, Response, Url, header};
use serde::de::DeserializeOwned;

use crate::NodeError;

/// The most bytes of a problem.
const MAX_PROBLEM_BYTES: usize = 256 << 10;

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

    /// Asks one node; the answer's bytes if it is a success.
    pub(crate) async fn ask(
        &self,
        http: &reqwest::Client,
        node: &Url,
        within: Duration,
    ) -> Result<Vec<u8>, NodeError> {
        tokio::time::timeout(within, self.exchange(http, node))
            .await
            .unwrap_or(Err(NodeError::Timeout { waited: within }))
    }

    async fn exchange(&self, http: &reqwest::Client, node: &Url) -> Result<Vec<u8>, NodeError> {
        let url =
            node.join(&self.path).map_err(|error| NodeError::Unreachable { reason: error.to_string() })?;
        let mut call = http.request(self.method.clone(), url);
        if let Some(body) = &self.body {
            call = call.header(header::CONTENT_TYPE, "application/json").body(body.0.clone());
        }
        let response = call.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            read(response, self.limit).await
        } else {
            let body = read(response, MAX_PROBLEM_BYTES).await?;
            Err(problem(status.as_u16(), &body).map_or_else(|error| error, NodeError::Failure))
        }
    }
}

/// Parses a success's body.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, NodeError> {
    serde_json::from_slice(body)
        .map_err(|error| NodeError::Unexpected { status: 200, reason: error.to_string() })
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
    let problem: Problem = serde_json::from_slice(body)
        .map_err(|error| NodeError::Unexpected { status, reason: error.to_string() })?;
    let kind = problem.kind.clone();
    problem
        .into_failure()
        .ok_or_else(|| NodeError::Unexpected { status, reason: format!("unknown problem {:.80}", kind) })
}

fn unreachable(error: reqwest::Error) -> NodeError {
    let (mut reason, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        reason.push_str(&format!(": {error}"));
        cause = error.source();
    }
    NodeError::Unreachable { reason }
}
