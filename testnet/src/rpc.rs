//! Plain HTTP to a node, without the client that is under test.

use std::{sync::LazyLock, time::Duration};

use anyhow::{Context, Result, ensure};
use countersign_api::{document, names};
use countersign_types::{
    SignedRequest,
    api::{NetworkInfo, Problem, SignResponse},
};
use reqwest::{Response, header::CONTENT_TYPE};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The longest that any call takes.
const TIMEOUT: Duration = Duration::from_secs(40);

/// What the HTTP interface says that it answers.
static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

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

/// Makes calls. A node that answers with a problem which its own document does not name for the call is an error.
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
        answered("GET", response).await
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
        answered("POST", response).await
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

/// The whole answer, held against the document.
async fn answered(method: &str, response: Response) -> Result<Answer> {
    let is_problem =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    let path = response.url().path().to_owned();
    let answer = Answer { status: response.status().as_u16(), body: response.text().await? };
    if is_problem {
        let named = names(&DOCUMENT, method, &path, &answer.problem()?);
        ensure!(
            named != Some(false),
            "{method} {path} answers with what the interface's document does not name: {}",
            answer.body
        );
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use countersign_types::{Failure, FailureKind};

    use super::*;
    use crate::outside::{Page, Service};

    #[tokio::test]
    async fn a_problem_that_is_not_documented_is_an_error() -> Result<()> {
        let service = Service::start(|_, _| {
            let problem = Problem::from(Failure::new(FailureKind::NotFound, "no such thing"));
            let headers = vec![("content-type", "application/problem+json".to_owned())];
            let body = serde_json::to_vec(&problem).expect("a document");
            Page { status: Some(problem.status), headers, body, ..Page::default() }
        })
        .await?;
        let (rpc, base) = (Rpc::new()?, format!("http://{}", service.address));
        let id = format!("0x{}", "11".repeat(32));
        assert_eq!(rpc.get(&format!("{base}/v1/actions/{id}")).await?.status, 404);
        assert_eq!(rpc.get(&format!("{base}/v1/nothing")).await?.status, 404, "there is no such route");
        let error = rpc.get(&format!("{base}/v1/actions")).await.expect_err("a list is never not found");
        assert!(error.to_string().contains("not-found"), "{error}");
        rpc.post_text(&format!("{base}/v1/actions"), String::new()).await.expect_err("nor is a publication");
        Ok(())
    }
}
