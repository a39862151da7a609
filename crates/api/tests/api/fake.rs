//! A backend that answers as it is told, and calls to the router in front of it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use countersign_api::{Backend, Config, SignAnswer, document, names};
use countersign_fuzzing::receipts::Case;
use countersign_receipt::Receipt;
use countersign_types::{
    ActionId, Address, B256, Bytes, ComponentDigest, EngineId, Failure, Genesis, KeyId, Limits, Manifest,
    NetworkId, NodeKey, NodePublicKey, PublicKey, ReceiptAccess, RequestDigest, Scheme, SessionId,
    SignedRequest,
    action::{MAX_COMPONENT_BYTES, PublishedAction},
    api::{ActionInfo, ActionList, NetworkInfo, Problem, SignResponse},
};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// The component that the backend stores.
pub(crate) const COMPONENT_BYTES: usize = 200_000;
/// What an action says of a request where much is said; in hex twice as much.
const LARGE_RESPONSE_BYTES: usize = 256 << 10;
pub(crate) const SCRIPT: &str = "export default function run() {}";

/// Answers with a failure if one is set, else with something legal.
#[derive(Default)]
pub(crate) struct Fake {
    failure: Mutex<Option<Failure>>,
    /// If it is set, calls wait for a permit before they answer.
    gate: Option<Semaphore>,
    /// Its component is as large as one may be, and what is signed comes with much.
    large: bool,
    /// How many calls have reached the backend.
    pub(crate) calls: AtomicUsize,
}

impl Fake {
    pub(crate) fn failing(failure: Failure) -> Self {
        Self { failure: Mutex::new(Some(failure)), ..Self::default() }
    }

    /// Calls do not answer before [`Fake::open`].
    pub(crate) fn gated() -> Self {
        Self { gate: Some(Semaphore::new(0)), ..Self::default() }
    }

    /// Its component and what it says of a request do not fit into the buffers of a connection.
    pub(crate) fn large() -> Self {
        Self { large: true, ..Self::default() }
    }

    pub(crate) fn open(&self) {
        self.gate.as_ref().expect("a gated backend").add_permits(1_000);
    }

    /// Waits until so many calls have reached the backend.
    pub(crate) async fn reached(&self, calls: usize) {
        let wait = async {
            while self.calls.load(Ordering::SeqCst) < calls {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.expect("the calls arrive");
    }

    async fn enter(&self) -> Result<(), Failure> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("never closed").forget();
        }
        self.failure.lock().expect("no test panics with it").clone().map_or(Ok(()), Err)
    }

    fn signed(&self, request: RequestDigest) -> SignResponse {
        let bytes = if self.large { LARGE_RESPONSE_BYTES } else { 0 };
        SignResponse { response: vec![7; bytes].into(), ..signed(request) }
    }
}

#[async_trait]
impl Backend for Fake {
    async fn network(&self) -> NetworkInfo {
        let _ = self.enter().await;
        let genesis = Genesis { nonce: B256::ZERO, members: vec![node()], threshold: 1, chains: vec![] };
        NetworkInfo {
            network: network(),
            genesis,
            epoch: 1,
            root_keys: None,
            members: vec![],
            node: node(),
            version: "0.0.0".into(),
            engine: EngineId::from([1; 32]),
            ready: false,
            not_ready: Some("no root keys".into()),
        }
    }

    async fn actions(&self) -> Result<ActionList, Failure> {
        self.enter().await.map(|()| ActionList { actions: vec![info()] })
    }

    async fn action(&self, _id: ActionId) -> Result<ActionInfo, Failure> {
        self.enter().await.map(|()| info())
    }

    async fn component(&self, _id: ActionId) -> Result<Bytes, Failure> {
        let bytes = if self.large { MAX_COMPONENT_BYTES } else { COMPONENT_BYTES };
        self.enter().await.map(|()| vec![7; bytes].into())
    }

    async fn script(&self, _id: ActionId) -> Result<String, Failure> {
        self.enter().await.map(|()| SCRIPT.into())
    }

    async fn publish(&self, _action: PublishedAction) -> Result<ActionInfo, Failure> {
        self.enter().await.map(|()| info())
    }

    async fn submit(&self, request: SignedRequest) -> Result<SignAnswer, Failure> {
        let response = self.signed(request.request.digest());
        self.enter().await.map(|()| SignAnswer { response, receipt: None })
    }

    async fn receipt(
        &self,
        digest: RequestDigest,
        access: Option<ReceiptAccess>,
    ) -> Result<Arc<Receipt>, Failure> {
        self.enter().await?;
        let mut receipt = Case::honest(Scheme::Ed25519).receipt;
        // what came through
        (receipt.terms.request, receipt.terms.time_ms) =
            (digest, access.map_or(0, |access| access.expires_at));
        Ok(Arc::new(receipt))
    }

    async fn request(&self, digest: RequestDigest) -> Result<SignResponse, Failure> {
        self.enter().await.map(|()| self.signed(digest))
    }

    async fn ready(&self) -> Result<(), String> {
        self.enter().await.map_err(|failure| failure.detail)
    }

    async fn metrics(&self) -> String {
        let _ = self.enter().await;
        "up 1\n".into()
    }
}

/// The network of the requests that the document shows.
fn network() -> NetworkId {
    let request: SignedRequest = serde_json::from_str(&request_body()).expect("the example");
    request.request.network
}

fn node() -> NodePublicKey {
    NodeKey::from_bytes([1; 32]).expect("a scalar").public_key()
}

fn info() -> ActionInfo {
    let manifest = Manifest {
        name: "time-lock".into(),
        component: ComponentDigest::from([1; 32]),
        script: B256::ZERO,
        hosts: vec![],
        chains: vec![],
        limits: Limits::default(),
    };
    let action_id = manifest.action_id();
    ActionInfo { action_id, manifest, publisher: Address::ZERO, component_bytes: 8, script_bytes: 0 }
}

fn signed(request: RequestDigest) -> SignResponse {
    SignResponse {
        request,
        session: SessionId::from([1; 32]),
        epoch: 1,
        engine: EngineId::from([1; 32]),
        time_ms: 1,
        pins: vec![],
        action_id: info().action_id,
        key_id: KeyId::from([1; 32]),
        scheme: Scheme::SchnorrSecp256k1,
        public_key: PublicKey(vec![2; 33].into()),
        signatures: vec![],
        response: Bytes::new(),
        nodes: vec![],
        votes: vec![],
    }
}

/// The request for signatures that the document shows.
pub(crate) fn request_body() -> String {
    example("/v1/requests")
}

/// The publication that the document shows.
pub(crate) fn publication_body() -> String {
    example("/v1/actions")
}

fn example(path: &str) -> String {
    let pointer =
        format!("/paths/{}/post/requestBody/content/application~1json/example", path.replace('/', "~1"));
    document().pointer(&pointer).expect("an example").to_string()
}

/// A path with an identifier for each parameter.
pub(crate) fn filled(path: &str) -> String {
    let id = format!("0x{}", "11".repeat(32));
    path.replace("{digest}", &id).replace("{id}", &id)
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as a problem, whose status and content type fit.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem");
        assert_eq!(problem.status, self.status.as_u16());
        problem
    }

    /// Fails where a route answers with a problem that the document does not name for it.
    fn check(&self, method: &str, path: &str) {
        if self.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json") {
            let problem = self.problem();
            let named = names(&document(), method, path, &problem);
            assert_ne!(
                named,
                Some(false),
                "{method} {path} answers with what is not documented: {problem:?}"
            );
        }
    }
}

/// One call to a fresh router.
pub(crate) async fn call(backend: Fake, method: &str, path: &str, body: impl Into<Body>) -> Answer {
    let router = countersign_api::router(Arc::new(backend), &Config::default()).expect("legal settings");
    send(&router, method, path, body).await
}

/// One call, with a JSON content type.
pub(crate) async fn send(router: &Router, method: &str, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .expect("a request");
    answer(router, request).await
}

/// The answer, whose problem, if it is one, is held against the document.
pub(crate) async fn answer(router: &Router, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = router.clone().oneshot(request).await.expect("a router does not fail");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body");
    let answer = Answer { status: parts.status, headers: parts.headers, body: body.to_vec() };
    answer.check(method.as_str(), &path);
    answer
}
