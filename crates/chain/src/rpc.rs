//! JSON-RPC over HTTP with a bound on everything: time, bytes, requests in flight.

use std::{
    error::Error as _,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reqwest::{
    Client, Response, Url,
    header::{CONTENT_TYPE, DATE, HeaderValue},
    redirect,
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::Fault;

/// The most bytes of one answer: 2 MiB. The largest that is needed is a block's header with the hashes of
/// its transactions.
pub(crate) const MAX_RESPONSE_BYTES: usize = 2 << 20;
/// The most requests in flight to one endpoint; more wait, within their timeout.
const MAX_IN_FLIGHT: usize = 64;
/// The most connections to one endpoint that are kept while unused.
const MAX_IDLE_CONNECTIONS: usize = 16;
/// The most characters of a provider's text in an error of ours.
const MAX_MESSAGE_CHARS: usize = 160;
/// A part of a URL that is shorter than this is no credential (`v3`, `rpc`).
const MIN_SECRET_CHARS: usize = 6;

/// The client that all endpoints share: no redirects, and no proxy but what the operating system does.
pub(crate) fn client() -> reqwest::Result<Client> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .build()
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Rpc {
    client: Client,
    url: SecretUrl,
    timeout: Duration,
    in_flight: Semaphore,
    next_id: AtomicU64,
}

/// What came back.
struct Reply {
    status: u16,
    /// When the provider says that it answered.
    date: Option<HeaderValue>,
    body: Vec<u8>,
}

/// Why a request has no result.
#[derive(Debug)]
pub(crate) enum RpcFailure {
    /// The exchange failed.
    Fault(Fault),
    /// The provider answered with an error.
    Error(RpcError),
}

/// A JSON-RPC error object, its message fit to be shown.
#[derive(Debug)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

impl Rpc {
    pub(crate) fn new(client: Client, url: Url, timeout: Duration) -> Self {
        let in_flight = Semaphore::new(MAX_IN_FLIGHT);
        Self { client, url: SecretUrl(url), timeout, in_flight, next_id: AtomicU64::new(1) }
    }

    /// Asks and waits, at most for the timeout. A result of `null` is an `Option`'s none.
    pub(crate) async fn request<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize + Send,
    ) -> Result<R, RpcFailure> {
        Ok(self.request_dated(method, params).await?.0)
    }

    /// The same, with the `Date` of the answer.
    pub(crate) async fn request_dated<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize + Send,
    ) -> Result<(R, Option<HeaderValue>), RpcFailure> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = serde_json::to_vec(&Call { jsonrpc: "2.0", id, method, params })
            .map_err(|error| RpcFailure::Fault(Fault::Malformed(error.to_string())))?;
        match tokio::time::timeout(self.timeout, self.exchange(body)).await {
            Ok(Ok(Reply { status, date, body })) => Ok((self.result(id, status, &body)?, date)),
            Ok(Err(fault)) => Err(RpcFailure::Fault(fault)),
            Err(_) => Err(RpcFailure::Fault(self.silence())),
        }
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<Reply, Fault> {
        // The semaphore is never closed: without a permit the request goes out all the same.
        let _permit = self.in_flight.acquire().await.ok();
        let request =
            self.client.post(self.url.0.clone()).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status().as_u16();
        let date = response.headers().get(DATE).cloned();
        Ok(Reply { status, date, body: self.bounded_body(response).await? })
    }

    async fn bounded_body(&self, mut response: Response) -> Result<Vec<u8>, Fault> {
        let too_large = Fault::TooLarge { limit: MAX_RESPONSE_BYTES };
        let announced = response.content_length().unwrap_or(0);
        if announced > MAX_RESPONSE_BYTES as u64 {
            return Err(too_large);
        }
        let mut body = Vec::with_capacity(announced as usize);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn result<R: DeserializeOwned>(&self, id: u64, status: u16, answer: &[u8]) -> Result<R, RpcFailure> {
        let fault = |fault| Err(RpcFailure::Fault(fault));
        let succeeded = (200..300).contains(&status);
        let answer: Answer<'_> = match serde_json::from_slice(answer) {
            Ok(answer) => answer,
            Err(_) if !succeeded => return fault(Fault::Status(status)),
            Err(error) => return fault(self.malformed(&error)),
        };
        if let Some(WireError { code, message, data }) = answer.error {
            return Err(RpcFailure::Error(RpcError { code, message: self.url.shorten(&message), data }));
        }
        if !succeeded {
            return fault(Fault::Status(status));
        }
        match answer.result {
            Some(result) if answer.id == Some(id) => {
                serde_json::from_str(result.get()).or_else(|error| fault(self.malformed(&error)))
            }
            Some(_) => fault(Fault::Malformed("of another request".into())),
            None => fault(Fault::Malformed("neither result nor error".into())),
        }
    }

    fn malformed(&self, error: &serde_json::Error) -> Fault {
        Fault::Malformed(self.url.shorten(&error.to_string()))
    }

    fn silence(&self) -> Fault {
        Fault::Timeout { ms: self.timeout.as_millis() as u64 }
    }

    /// The innermost cause: what the layers above add is our own URL.
    fn broken(&self, error: &reqwest::Error) -> Fault {
        let mut cause = error.source();
        let mut text = String::from("the exchange broke off");
        while let Some(error) = cause {
            text = match error.downcast_ref::<io::Error>() {
                Some(error) if error.kind() != io::ErrorKind::Other => error.kind().to_string(),
                Some(_) | None => error.to_string(),
            };
            cause = error.source();
        }
        Fault::Unreachable(self.url.shorten(&text))
    }
}

impl RpcFailure {
    /// The fault, where an error object means nothing in particular.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Error(error) => error.into_fault(),
        }
    }
}

impl RpcError {
    /// Providers word it in many ways that the pinned block is unknown or off the chain (EIP-1898 leaves the
    /// codes open). Either way there is no answer: the words decide only what a person is told.
    pub(crate) fn into_fault(self) -> Fault {
        const UNKNOWN: [&str; 6] = [
            "header not found",
            "block not found",
            "unknown block",
            "not currently canonical",
            "not canonical",
            "could not be found",
        ];
        let message = self.message.to_ascii_lowercase();
        if [-32001, -39001].contains(&self.code) || UNKNOWN.iter().any(|words| message.contains(words)) {
            return Fault::UnknownBlock;
        }
        Fault::Rpc { code: self.code, message: self.message }
    }
}

/// A URL that is not shown, nor are its parts where a provider repeats them.
struct SecretUrl(Url);

impl SecretUrl {
    fn shorten(&self, text: &str) -> String {
        let mut text = text.to_string();
        for secret in self.secrets().filter(|secret| secret.len() >= MIN_SECRET_CHARS) {
            text = text.replace(secret, "...");
        }
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        text.chars().take(MAX_MESSAGE_CHARS).map(visible).collect()
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        let path = self.0.path_segments().into_iter().flatten();
        let query = self.0.query().into_iter().flat_map(|query| query.split(['&', '=']));
        path.chain(query).chain([self.0.username(), self.0.password().unwrap_or("")])
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

#[derive(Serialize)]
struct Call<P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'static str,
    params: P,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default, deserialize_with = "lenient_id")]
    id: Option<u64>,
    /// A `null` is a result too.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct WireError {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// With an error, the id may be anything.
fn lenient_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc() -> Rpc {
        let url =
            Url::parse("https://someone:hunter22@rpc.example/v3/0123456789?key=abcdef12").expect("a URL");
        Rpc::new(Client::new(), url, Duration::from_secs(1))
    }

    fn result(status: u16, answer: &str) -> Result<Option<u64>, String> {
        rpc().result(7, status, answer.as_bytes()).map_err(|failure| failure.into_fault().to_string())
    }

    #[test]
    fn null_is_a_result_and_its_absence_is_not() {
        assert_eq!(result(200, r#"{"id":7,"result":3}"#), Ok(Some(3)));
        assert_eq!(result(200, r#"{"id":7,"result":null}"#), Ok(None));
        let absent = Err("malformed answer: neither result nor error".to_string());
        assert_eq!(result(200, r#"{"id":7}"#), absent);
        assert_eq!(result(200, r#"{"id":7,"error":null}"#), absent);
        assert_eq!(result(200, r#"{"id":8,"result":3}"#), Err("malformed answer: of another request".into()));
        assert_eq!(result(502, "<html>"), Err("HTTP status 502".into()));
        assert_eq!(result(500, r#"{"id":7,"result":3}"#), Err("HTTP status 500".into()));
        let text = r#"{"id":null,"error":{"code":-32000,"message":"no such thing"}}"#;
        assert_eq!(result(400, text), Err("error -32000: no such thing".into()));
    }

    #[test]
    fn an_unknown_block_is_known_by_code_or_words() {
        for (code, message) in [
            (-32001, "Resource not found"),
            (-32000, "header not found"),
            (-32000, "hash 0x12 is not currently canonical"),
            (-39001, "Unknown block"),
        ] {
            let error = RpcError { code, message: message.into(), data: None };
            assert_eq!(error.into_fault(), Fault::UnknownBlock);
        }
        let error = RpcError { code: -32000, message: "missing trie node".into(), data: None };
        assert_ne!(error.into_fault(), Fault::UnknownBlock);
    }

    #[test]
    fn what_a_provider_repeats_of_our_url_is_not_shown() {
        let message = "key abcdef12 of someone:hunter22 at /v3/0123456789 is over its limit\u{1b}[2J";
        let answer = serde_json::json!({"id": 7, "error": {"code": -32005, "message": message}});
        let shown = result(200, &answer.to_string()).expect_err("an error");
        assert_eq!(shown, "error -32005: key ... of ...:... at /v3/... is over its limit [2J");
        assert!(!format!("{:?}", rpc()).contains("hunter22"));
        let long = serde_json::json!({"id": 7, "error": {"code": 1, "message": "x".repeat(1 << 20)}});
        assert!(result(200, &long.to_string()).expect_err("an error").len() < 200);
    }
}
