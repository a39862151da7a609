//! The world outside of the test network: services that its actions read over HTTP, by name, on loopback.
//!
//! Nodes map the names to ports by their configuration, each node to a port of its own where answers differ from
//! node to node. So the actions' URLs, and with them the ids of keys, do not depend on ports.

mod approvals;
mod prices;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

pub use approvals::Approvals;
pub use prices::{drifting, price};

/// The name of the price service.
pub const PRICES: &str = "prices.test";
/// The name of the service that approves requests.
pub const APPROVALS: &str = "approvals.test";

/// What a service answers.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The status; 200 if none.
    pub status: Option<u16>,
    /// Headers, as they stand.
    pub headers: Vec<(&'static str, String)>,
    /// The body, as it stands.
    pub body: Vec<u8>,
    /// How long the answer is held back.
    pub delay: Duration,
}

impl Page {
    /// A JSON document.
    pub fn json(value: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { headers, body: value.to_string().into_bytes(), ..Self::default() }
    }

    /// The same, late.
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let status =
            self.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
        (status, headers, Body::from(self.body)).into_response()
    }
}

/// A service on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Service {
    /// Answers every request by its method and path, on a free port.
    pub async fn start(answer: impl Fn(&str, &str) -> Page + Send + Sync + 'static) -> Result<Self> {
        Self::start_at(0, answer).await
    }

    /// The same, on this port.
    pub async fn start_at(
        port: u16,
        answer: impl Fn(&str, &str) -> Page + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("a service of the test network cannot listen on port {port}"))?;
        let address = listener.local_addr()?;
        let answer = Arc::new(answer);
        let router = Router::new().fallback(move |request: Request| {
            let page = answer(request.method().as_str(), request.uri().path());
            async move {
                sleep(page.delay).await;
                page
            }
        });
        let task = tokio::spawn(async move {
            // ends with its task
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, task })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves prices, one port for each node, and approvals, until the process is told to end.
pub async fn serve(prices: &[u16], approvals: u16) -> Result<Vec<Service>> {
    let mut services = Vec::new();
    for (index, port) in prices.iter().enumerate() {
        services.push(Service::start_at(*port, move |_, path| drifting(index, path)).await?);
    }
    let decisions = Approvals::default();
    services.push(Service::start_at(approvals, move |method, path| decisions.answer(method, path)).await?);
    Ok(services)
}

/// What is not served.
fn not_found() -> Page {
    Page { status: Some(404), ..Page::json(&serde_json::json!({ "error": "there is no such page" })) }
}
