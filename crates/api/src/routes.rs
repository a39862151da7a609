//! The routes and their handlers.

use std::{fmt, future::Future, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{FromRequestParts, Query, RawPathParams, Request, State},
    http::{Method, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use countersign_types::{
    ActionId, CallerSignature, Failure, NetworkId, ReceiptAccess, RequestDigest, SignedRequest,
    action::{MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES, PublishedAction},
    api::{ActionInfo, ActionList, NetworkInfo, SignResponse},
    failure::FailureKind,
};
use serde::{Deserialize, Serialize};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Backend, Config, ConfigError, Rates, SignAnswer,
    body::{self, Arrived, MAX_PUBLICATION_BODY_BYTES, MAX_REQUEST_BODY_BYTES},
    config::Origins,
    document::{
        self, DocumentProblems, ListProblems, LookupProblems, MetricsProblems, PublishProblems,
        ReadyProblems, ReceiptProblems, SignProblems, ViewProblems,
    },
    download::download,
    observe,
    places::{Asker, Place, Places},
    problem::{Failed, no_method, no_route, quoted},
    schema::ReceiptBody,
};

/// How long a browser may take a page's right to ask for granted.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);
/// How many read the metrics at once, all together and from one address: they are written anew for each.
const METRICS: usize = 4;
const METRICS_OF_ADDRESS: usize = 2;
/// Answers of at most so many bytes are sent beside all bounds: the system and the connection's buffer hold them.
const SMALL_ANSWER_BYTES: usize = 64 << 10;
/// How many bytes of larger answers are on their way, for each call that may be in flight.
const ANSWER_BYTES: usize = 256 << 10;
const JSON: &str = "application/json";
/// Not a type that a browser runs.
const SCRIPT_TYPE: &str = "text/plain; charset=utf-8";

/// The routes over a backend, with every bound but those on connections, which are [`crate::serve`]'s; it tells what address
/// each call comes from.
pub fn router(backend: Arc<dyn Backend>, config: &Config) -> Result<Router, ConfigError> {
    let (routes, openapi) = documented().split_for_parts();
    let origins = config.origins()?;
    let document = document::to_json(&openapi).to_string().into();
    let api = Arc::new(Api::new(backend, config.clone(), document));
    let rates = config.address_rate.map(|rate| Arc::new(Rates::new(rate)));
    let mut routes = routes
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(rates, in_measure));
    // outside of the rates: a page must be able to read that it asks too often
    if let Some(cross_origin) = cross_origin(origins) {
        routes = routes.layer(cross_origin);
    }
    Ok(routes.layer(middleware::from_fn(observe::observe)).with_state(api))
}

/// Lets web pages of these origins ask, and see what they need of an answer; none where there are no origins.
fn cross_origin(origins: Origins) -> Option<CorsLayer> {
    let origins = match origins {
        Origins::Any => AllowOrigin::any(),
        Origins::These(origins) if origins.is_empty() => return None,
        Origins::These(origins) => AllowOrigin::list(origins),
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .expose_headers([header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE);
    Some(layer)
}

/// Answers busy where one address asks too often. What supervisors ask for does not count.
async fn in_measure(
    State(rates): State<Option<Arc<Rates<IpAddr>>>>,
    request: Request,
    next: Next,
) -> Result<Response, Failed> {
    let Asker(asker) = request.extensions().get().copied().unwrap_or_default();
    if let (Some(rates), Some(address)) = (rates, asker)
        && request.uri().path().starts_with("/v1/")
    {
        rates.count(&address)?;
    }
    Ok(next.run(request).await)
}

/// Every route that there is: one that is not in the document cannot be added.
fn documented() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(document::head())
        .routes(routes!(submit))
        .routes(routes!(request))
        .routes(routes!(receipt))
        .routes(routes!(actions, publish))
        .routes(routes!(action))
        .routes(routes!(component))
        .routes(routes!(script))
        .routes(routes!(network))
        .routes(routes!(openapi))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
}

/// The paths as they stand in the document.
pub(crate) fn paths() -> OpenApi {
    documented().split_for_parts().1
}

struct Api {
    backend: Arc<dyn Backend>,
    config: Config,
    calls: Arc<Places>,
    publications: Arc<Places>,
    /// The bytes of components and scripts that are read and sent.
    component_bytes: Arc<Places>,
    receipts: Arc<Places>,
    metrics: Arc<Places>,
    /// The bytes of large answers that are being sent: apart from calls, so that whoever reads slowly keeps nobody from signing.
    answer_bytes: Arc<Places>,
    /// The bytes of requests and publications that are arriving.
    request_bytes: Arc<Places>,
    publication_bytes: Arc<Places>,
    document: Bytes,
}

impl Api {
    fn new(backend: Arc<dyn Backend>, config: Config, document: Bytes) -> Self {
        let (calls, of_address) = (config.max_in_flight, config.in_flight_of_address());
        let (transfers, transfers_of_address) = (config.max_transfers, config.transfers_of_address());
        // as many bytes as there may be calls, or transfers, with so many each
        let bytes = |what, limit: usize, most: usize, of_address: usize| {
            Places::new(what, most.saturating_mul(limit), of_address.saturating_mul(limit))
        };
        Self {
            calls: Places::new("calls are answered", calls, of_address),
            publications: Places::new("publications are taken", transfers, transfers_of_address),
            component_bytes: bytes(
                "bytes of components are sent",
                MAX_COMPONENT_BYTES,
                transfers,
                transfers_of_address,
            ),
            receipts: Places::new("receipts are sent", transfers, transfers_of_address),
            metrics: Places::new("metrics are read", METRICS, METRICS_OF_ADDRESS),
            answer_bytes: bytes("bytes of large answers are sent", ANSWER_BYTES, calls, of_address),
            request_bytes: bytes("bytes of requests arrive", MAX_REQUEST_BODY_BYTES, calls, of_address),
            publication_bytes: bytes(
                "bytes of publications arrive",
                MAX_PUBLICATION_BODY_BYTES,
                transfers,
                transfers_of_address,
            ),
            backend,
            config,
            document,
        }
    }

    /// Takes a place among the calls in flight, until what is returned is dropped.
    fn enter(&self, asker: Asker) -> Result<Place, Failed> {
        self.calls.take(asker)
    }

    /// The whole body of a request. Nothing else is taken before it is there: whoever sends slowly is in nobody's way.
    async fn request(&self, request: Request, asker: Asker) -> Result<Arrived, Failed> {
        let room = self.request_bytes.none(asker);
        body::arrive(request, MAX_REQUEST_BODY_BYTES, self.config.body_timeout(), room).await
    }

    /// The whole body of a publication, in the same way.
    async fn publication(&self, request: Request, asker: Asker) -> Result<Arrived, Failed> {
        let room = self.publication_bytes.none(asker);
        body::arrive(request, MAX_PUBLICATION_BODY_BYTES, self.config.body_timeout(), room).await
    }

    /// The backstop around the backend, which keeps deadlines of its own.
    async fn in_time<T>(&self, answer: impl Future<Output = T> + Send) -> Result<T, Failed> {
        tokio::time::timeout(self.config.deadline(), answer).await.map_err(|_| {
            let ms = self.config.deadline_ms;
            let detail = format!("there is no answer after {ms} ms; the same request may be sent again");
            Failed::new(FailureKind::Deadline, detail)
        })
    }

    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<Json<T>, Failed> {
        Ok(Json(self.in_time(answer).await??))
    }

    /// As JSON, whatever its size.
    fn json<T: Serialize>(&self, asker: Asker, answer: &T) -> Result<Response, Failed> {
        let json = serde_json::to_vec(answer).map_err(internal)?;
        self.sent(asker, json.into(), JSON)
    }

    /// An answer on its way. A large one takes room until it has left.
    fn sent(&self, asker: Asker, bytes: Bytes, content_type: &'static str) -> Result<Response, Failed> {
        let count = if bytes.len() > SMALL_ANSWER_BYTES { bytes.len() } else { 0 };
        let room = self.answer_bytes.take_many(asker, count)?;
        Ok(download(bytes, content_type, room))
    }

    /// Why a request that names this network was turned away. Its signatures cover the network: where it names another one than
    /// they do, nobody seems to have signed it.
    async fn turned_away(&self, named: NetworkId, failure: Failure) -> Failed {
        if failure.kind != FailureKind::Unauthorised {
            return failure.into();
        }
        let network = match self.in_time(self.backend.network()).await {
            Ok(info) => info.network,
            Err(late) => return late,
        };
        if network == named {
            return failure.into();
        }
        let detail = format!(
            "the request is for network {named}, this is {network}: check which network the client is set to"
        );
        Failed::new(FailureKind::WrongNetwork, detail)
    }
}

fn internal(error: serde_json::Error) -> Failed {
    Failed::new(FailureKind::Internal, error.to_string())
}

/// Asks for signatures. The answer comes when they are made, or when it is clear that they are not.
///
/// The request's digest is the idempotency key: the same request again, at this node, gives the stored or running result.
/// Another node that it names runs it anew.
#[utoipa::path(
    post,
    path = "/v1/requests",
    tag = "requests",
    request_body(content = SignedRequest, example = json!(document::example(document::REQUEST))),
    responses((status = 200, description = "signed", body = SignAnswer), SignProblems),
)]
async fn submit(State(api): State<Arc<Api>>, asker: Asker, request: Request) -> Result<Response, Failed> {
    let arrived = api.request(request, asker).await?;
    let _place = api.enter(asker)?;
    let request: SignedRequest = arrived.json().await?;
    let network = request.request.network;
    match api.in_time(api.backend.submit(request)).await? {
        Ok(answer) => api.json(asker, &answer),
        Err(failure) => Err(api.turned_away(network, failure).await),
    }
}

/// The stored or running result of a request.
#[utoipa::path(
    get,
    path = "/v1/requests/{digest}",
    tag = "requests",
    params(("digest" = RequestDigest, Path, description = "the request's digest")),
    responses((status = 200, description = "signed", body = SignResponse), SignProblems),
)]
async fn request(
    State(api): State<Arc<Api>>,
    asker: Asker,
    Id(digest): Id<RequestDigest>,
) -> Result<Response, Failed> {
    let _place = api.enter(asker)?;
    let response = api.in_time(api.backend.request(digest)).await??;
    api.json(asker, &response)
}

/// Why a request was signed: the receipt, where this node is one of the signers.
///
/// For the callers of the request: one of them signs, in the network's EIP-712 domain, `ReadReceipt(address node,bytes32
/// request,uint64 expiresAt)`, for this node and no other. Where the operator shows receipts to everybody, no signature is needed.
#[utoipa::path(
    get,
    path = "/v1/receipts/{digest}",
    tag = "requests",
    params(
        ("digest" = RequestDigest, Path, description = "the request's digest"),
        ("node" = Option<String>, Query, pattern = "^0x[0-9a-fA-F]{40}$", description = "the address of this node, for which it is signed"),
        ("expires_at" = Option<u64>, Query, description = "until when the signature counts, in milliseconds since 1970"),
        ("signature" = Option<String>, Query, pattern = "^0x[0-9a-fA-F]{130}$", description = "by one of the request's callers"),
    ),
    responses((status = 200, description = "the receipt", body = ReceiptBody), ReceiptProblems),
)]
async fn receipt(
    State(api): State<Arc<Api>>,
    asker: Asker,
    Id(digest): Id<RequestDigest>,
    access: Access,
) -> Result<Response, Failed> {
    let place = api.receipts.take(asker)?;
    let receipt = api.in_time(api.backend.receipt(digest, access.0)).await??;
    let json = serde_json::to_vec(receipt.as_ref()).map_err(internal)?;
    Ok(download(json.into(), JSON, place))
}

/// The actions that the node stores.
#[utoipa::path(
    get,
    path = "/v1/actions",
    tag = "actions",
    responses((status = 200, description = "the actions", body = ActionList), ListProblems),
)]
async fn actions(State(api): State<Arc<Api>>, asker: Asker) -> Result<Response, Failed> {
    let _place = api.enter(asker)?;
    let actions = api.in_time(api.backend.actions()).await??;
    api.json(asker, &actions)
}

/// Publishes an action. The same publication again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/actions",
    tag = "actions",
    request_body(content = PublishedAction, example = json!(document::example(document::PUBLICATION))),
    responses((status = 200, description = "stored", body = ActionInfo), PublishProblems),
)]
async fn publish(
    State(api): State<Arc<Api>>,
    asker: Asker,
    request: Request,
) -> Result<Json<ActionInfo>, Failed> {
    let arrived = api.publication(request, asker).await?;
    let _place = api.publications.take(asker)?;
    let action = arrived.json().await?;
    api.answer(api.backend.publish(action)).await
}

/// One stored action.
#[utoipa::path(
    get,
    path = "/v1/actions/{id}",
    tag = "actions",
    params(("id" = ActionId, Path, description = "the action's id")),
    responses((status = 200, description = "the action", body = ActionInfo), LookupProblems),
)]
async fn action(
    State(api): State<Arc<Api>>,
    asker: Asker,
    Id(id): Id<ActionId>,
) -> Result<Json<ActionInfo>, Failed> {
    let _place = api.enter(asker)?;
    api.answer(api.backend.action(id)).await
}

/// The component of a stored action.
#[utoipa::path(
    get,
    path = "/v1/actions/{id}/component",
    tag = "actions",
    params(("id" = ActionId, Path, description = "the action's id")),
    responses(
        (status = 200, description = "the component", body = [u8], content_type = "application/wasm"),
        LookupProblems,
    ),
)]
async fn component(
    State(api): State<Arc<Api>>,
    asker: Asker,
    Id(id): Id<ActionId>,
) -> Result<Response, Failed> {
    // how many bytes it has shows once it is there
    let mut room = api.component_bytes.take_many(asker, MAX_COMPONENT_BYTES)?;
    let bytes: Bytes = api.in_time(api.backend.component(id)).await??.into();
    room.keep(bytes.len());
    Ok(download(bytes, "application/wasm", room))
}

/// The script of a stored action that is one.
#[utoipa::path(
    get,
    path = "/v1/actions/{id}/script",
    tag = "actions",
    params(("id" = ActionId, Path, description = "the action's id")),
    responses(
        (status = 200, description = "the script", body = String, content_type = SCRIPT_TYPE),
        LookupProblems,
    ),
)]
async fn script(State(api): State<Arc<Api>>, asker: Asker, Id(id): Id<ActionId>) -> Result<Response, Failed> {
    let mut room = api.component_bytes.take_many(asker, MAX_SCRIPT_BYTES)?;
    let script: Bytes = api.in_time(api.backend.script(id)).await??.into();
    room.keep(script.len());
    Ok(download(script, SCRIPT_TYPE, room))
}

/// The network, from this node's view.
#[utoipa::path(
    get,
    path = "/v1/network",
    tag = "network",
    responses((status = 200, description = "the network", body = NetworkInfo), ViewProblems),
)]
async fn network(State(api): State<Arc<Api>>, asker: Asker) -> Result<Json<NetworkInfo>, Failed> {
    let _place = api.enter(asker)?;
    Ok(Json(api.in_time(api.backend.network()).await?))
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "network",
    responses((status = 200, description = "the OpenAPI document", body = Object), DocumentProblems),
)]
async fn openapi(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, JSON)], api.document.clone()).into_response()
}

/// Whether the node runs.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "it runs", body = String, content_type = "text/plain")),
)]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the node can sign.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses((status = 200, description = "it can sign", body = String, content_type = "text/plain"), ReadyProblems),
)]
async fn readyz(State(api): State<Arc<Api>>) -> Result<&'static str, Failed> {
    let ready = api.in_time(api.backend.ready()).await?;
    ready.map(|()| "ready\n").map_err(|reason| Failed::new(FailureKind::NotReady, reason))
}

/// The node's metrics in the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "the metrics", body = String, content_type = "text/plain"), MetricsProblems),
)]
async fn metrics(State(api): State<Arc<Api>>, asker: Asker) -> Result<Response, Failed> {
    let _place = api.metrics.take(asker)?;
    let text = api.in_time(api.backend.metrics()).await?;
    api.sent(asker, text.into(), "text/plain; version=0.0.4")
}

/// The one identifier in a path.
struct Id<T>(T);

/// What a caller says to see a receipt; none where nothing is said.
struct Access(Option<ReceiptAccess>);

impl<S: Send + Sync> FromRequestParts<S> for Access {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        if parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Self(None));
        }
        let wrong =
            |reason: String| Failed::new(FailureKind::Invalid, format!("the query is wrong: {reason}"));
        let Query(query) = Query::<AccessQuery>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| wrong(rejection.body_text()))?;
        query.parse().map(|access| Self(Some(access))).map_err(wrong)
    }
}

/// The parameters of the query as texts: each is parsed by itself, so that what is wrong is told with its name and what it should be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessQuery {
    node: Option<String>,
    expires_at: Option<String>,
    signature: Option<String>,
}

impl AccessQuery {
    /// What it says, or why it says nothing.
    fn parse(self) -> Result<ReceiptAccess, String> {
        let Self { node, expires_at, signature } = self;
        Ok(ReceiptAccess {
            node: parameter("node", node, "the address of this node, 0x and 40 hexadecimal digits")?,
            expires_at: parameter("expires_at", expires_at, "milliseconds since 1970")?,
            signature: CallerSignature(parameter(
                "signature",
                signature,
                "a caller's signature over ReadReceipt, 0x and 130 hexadecimal digits",
            )?),
        })
    }
}

/// One of the parameters that show a caller's right.
fn parameter<T: FromStr>(name: &str, given: Option<String>, expected: &str) -> Result<T, String> {
    let Some(text) = given else {
        return Err(format!(
            "{name} is missing: expected {expected}; node, expires_at and signature go together"
        ));
    };
    text.parse().map_err(|_| format!("{name} is {:?}, expected {expected}", quoted(&text)))
}

impl<T, S> FromRequestParts<S> for Id<T>
where
    T: FromStr<Err: fmt::Display>,
    S: Send + Sync,
{
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        let invalid =
            |reason: String| Failed::new(FailureKind::Invalid, format!("the path is wrong: {reason}"));
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| invalid(rejection.body_text()))?;
        let (_, text) = params.iter().next().ok_or_else(|| invalid("an identifier is missing".into()))?;
        text.parse().map(Self).map_err(|error: T::Err| invalid(error.to_string()))
    }
}
