//! A provider between a node and a real chain, which may say what it likes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What the proxy says to one request.
pub(crate) enum Say {
    /// What the chain says.
    Truth,
    /// Another result.
    Result(Value),
    /// An error object.
    Error(i64, &'static str),
    /// Something that is no JSON-RPC.
    Text(StatusCode, String),
    /// An endless body.
    Flood,
    /// Nothing, ever.
    Nothing,
    /// The truth, but late.
    Late(Duration),
}

type Behaviour = Arc<dyn Fn(&str, &Value, &Value) -> Say + Send + Sync>;

/// Ends when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    world: Arc<Upstream>,
    _serving: JoinSet<()>,
}

struct Upstream {
    url: String,
    client: reqwest::Client,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<String>>,
}

impl Proxy {
    /// One that tells the truth.
    pub(crate) async fn honest(upstream: String) -> Self {
        Self::start(upstream, |_, _, _| Say::Truth).await
    }

    /// One that decides by method, parameters and the chain's true answer (the whole response).
    pub(crate) async fn start(
        upstream: String,
        behaviour: impl Fn(&str, &Value, &Value) -> Say + Send + Sync + 'static,
    ) -> Self {
        let world = Arc::new(Upstream {
            url: upstream,
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
            behaviour: Mutex::new(Arc::new(behaviour)),
            requests: Mutex::default(),
        });
        let router = Router::new().fallback(post(answer)).with_state(Arc::clone(&world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self { address, world, _serving: serving }
    }

    /// Lies about one method only.
    pub(crate) async fn lying(upstream: String, method: &'static str, lie: Value) -> Self {
        Self::start(upstream, move |asked, _, _| match asked == method {
            true => Say::Result(lie.clone()),
            false => Say::Truth,
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn behave(&self, behaviour: impl Fn(&str, &Value, &Value) -> Say + Send + Sync + 'static) {
        *self.world.behaviour.lock().expect("the lock") = Arc::new(behaviour);
    }

    /// The bodies of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.world.requests.lock().expect("the lock").clone()
    }
}

async fn answer(State(world): State<Arc<Upstream>>, body: String) -> Response {
    let request: Value = serde_json::from_str(&body).expect("a JSON-RPC request");
    world.requests.lock().expect("the lock").push(body.clone());
    let post = world.client.post(&world.url).header("content-type", "application/json").body(body);
    let truth: Value = match post.send().await {
        Ok(response) => response.json().await.expect("the chain speaks JSON"),
        Err(_) => return StatusCode::BAD_GATEWAY.into_response(),
    };
    let behaviour = Arc::clone(&world.behaviour.lock().expect("the lock"));
    let said = behaviour(request["method"].as_str().expect("a method"), &request["params"], &truth);
    let id = &request["id"];
    match said {
        Say::Truth => json_response(&truth),
        Say::Result(result) => json_response(&json!({"jsonrpc": "2.0", "id": id, "result": result})),
        Say::Error(code, message) => {
            json_response(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}))
        }
        Say::Text(status, text) => (status, text).into_response(),
        Say::Flood => flood(),
        Say::Nothing => std::future::pending().await,
        Say::Late(delay) => {
            tokio::time::sleep(delay).await;
            json_response(&truth)
        }
    }
}

fn json_response(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

fn flood() -> Response {
    let chunk = axum::body::Bytes::from(vec![b' '; 1 << 16]);
    let endless = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
    Body::from_stream(endless).into_response()
}
