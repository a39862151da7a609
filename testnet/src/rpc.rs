//! Plain HTTP to a node, without the client that is under test.

use std::time::Duration;

use anyhow::{Context, Result};
use countersign_types::{
    SignedRequest,
    api::{NetworkInfo, Problem, SignResponse},
};
use serde::{Serialize, de::DeserializeOwned};

/// The longest that any call takes.
const TIMEOUT: Duration = Duration::from_secs(40);

/// What a node answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body).with_context(|| format!("status {}: {}", self.status, self.body))
    }

    /// The signatures.
    pub fn signed(&self) -> Result<SignResponse> {
        self.json()
    }

    /// The problem.
    pub fn problem(&self) -> Result<Problem> {
        self.json()
    }
}

/// Makes calls.
#[derive(Debug, Clone)]
pub struct Rpc {
    http: reqwest::Client,
}

impl Rpc {
    /// A caller with connections of its own.
    pub fn new() -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().timeout(TIMEOUT).build()? })
    }

    /// `GET`.
    pub async fn get(&self, url: &str) -> Result<Answer> {
        let response = self.http.get(url).send().await.with_context(|| format!("GET {url}"))?;
        Ok(Answer { status: response.status().as_u16(), body: response.text().await? })
    }

    /// `GET` of bytes.
    pub async fn get_bytes(&self, url: &str) -> Result<Vec<u8>> {
        let response = self.http.get(url).send().await.with_context(|| format!("GET {url}"))?;
        Ok(response.error_for_status()?.bytes().await?.into())
    }

    /// `POST` of a JSON text.
    pub async fn post_text(&self, url: &str, body: String) -> Result<Answer> {
        let request = self.http.post(url).header("content-type", "application/json").body(body);
        let response = request.send().await.with_context(|| format!("POST {url}"))?;
        Ok(Answer { status: response.status().as_u16(), body: response.text().await? })
    }

    /// `POST` of a value.
    pub async fn post(&self, url: &str, body: &impl Serialize) -> Result<Answer> {
        self.post_text(url, serde_json::to_string(body)?).await
    }

    /// Posts a request for signatures.
    pub async fn submit(&self, node: &str, request: &SignedRequest) -> Result<Answer> {
        self.post(&format!("{node}/v1/requests"), request).await
    }

    /// The network as a node sees it.
    pub async fn network(&self, node: &str) -> Result<NetworkInfo> {
        self.get(&format!("{node}/v1/network")).await?.json()
    }

    /// A counter or gauge without labels of a node's metrics; 0 where it is absent.
    pub async fn metric(&self, node: &str, name: &str) -> Result<f64> {
        let metrics = self.get(&format!("{node}/metrics")).await?.body;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        Ok(value.unwrap_or_default())
    }
}
