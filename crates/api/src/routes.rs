//! The routes and their handlers.

use std::{fmt, future::Future, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{FromRequestParts, Query, RawPathParams, Request, State},
    http::{Method, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use countersign_types::{
    ActionId, Failure, ReceiptAccess, RequestDigest, SignedRequest,
    action::PublishedAction,
    api::{ActionInfo, ActionList, NetworkInfo, SignResponse},
    failure::FailureKind,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Backend, Config, ConfigError, Rates, SignAnswer,
    body::{self, MAX_PUBLICATION_BODY_BYTES, MAX_REQUEST_BODY_BYTES},
    config::Origins,
    document::{
        self, LookupProblems, PublishProblems, ReadyProblems, ReceiptProblems, SignProblems, ViewProblems,
    },
    observe,
    problem::{Failed, no_method, no_route},
};

/// The pieces in which a component is sent, so that its place is held until nearly all of it has left.
const COMPONENT_CHUNK_BYTES: usize = 64 << 10;
/// How long a browser may take a page's right to ask for granted.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);
/// Not a type that a browser runs.
const SCRIPT_TYPE: &str = "text/plain; charset=utf-8";

/// The routes over a backend, with every bound but those on connections, which are [`crate::serve`]'s; it tells what address
/// each call comes from.
pub fn router(backend: Arc<dyn Backend>, config: &Config) -> Result<Router, ConfigError> {
    let (routes, openapi) = documented().split_for_parts();
    let origins = config.origins()?;
    let api = Arc::new(Api {
        backend,
        config: config.clone(),
        in_flight: places(config.max_in_flight),
        transfers: places(config.max_transfers),
        document: document::to_json(&openapi).to_string().into(),
    });
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

/// Whose address a connection comes from, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker(pub(crate) IpAddr);

/// Answers busy where one address asks too often. What supervisors ask for does not count.
async fn in_measure(
    State(rates): State<Option<Arc<Rates<IpAddr>>>>,
    request: Request,
    next: Next,
) -> Result<Response, Failed> {
    if let (Some(rates), Some(Asker(address))) = (rates, request.extensions().get())
        && request.uri().path().starts_with("/v1/")
    {
        rates.count(address).map_err(|early| Failed::new(FailureKind::Busy, early.to_string()))?;
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
    in_flight: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
    document: Bytes,
}

impl Api {
    /// Takes a place among the calls in flight, until what is returned is dropped.
    fn enter(&self) -> Result<OwnedSemaphorePermit, Failed> {
        take(&self.in_flight, self.config.max_in_flight, "calls")
    }

    /// Takes a place among the transfers of components.
    fn transfer(&self) -> Result<OwnedSemaphorePermit, Failed> {
        take(&self.transfers, self.config.max_transfers, "transfers of components")
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
}

fn places(most: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
}

fn take(places: &Arc<Semaphore>, most: usize, what: &str) -> Result<OwnedSemaphorePermit, Failed> {
    Arc::clone(places).try_acquire_owned().map_err(|_| {
        Failed::new(FailureKind::Busy, format!("{most} {what} are in progress, which is the most"))
    })
}

/// Asks for signatures. The answer comes when they are made, or when it is clear that they are not.
///
/// The request's digest is the idempotency key: the same request again, here or at another node, gives the
/// stored or running result.
#[utoipa::path(
    post,
    path = "/v1/requests",
    tag = "requests",
    request_body(content = SignedRequest, example = json!(document::example(document::REQUEST))),
    responses((status = 200, description = "signed", body = SignAnswer), SignProblems),
)]
async fn submit(State(api): State<Arc<Api>>, request: Request) -> Result<Json<SignAnswer>, Failed> {
    let _place = api.enter()?;
    let request = body::json(request, MAX_REQUEST_BODY_BYTES, api.config.body_timeout()).await?;
    api.answer(api.backend.submit(request)).await
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
    Id(digest): Id<RequestDigest>,
) -> Result<Json<SignResponse>, Failed> {
    let _place = api.enter()?;
    api.answer(api.backend.request(digest)).await
}

/// Why a request was signed: the receipt, where this node is one of the signers.
///
/// For the callers of the request: one of them signs, in the network's EIP-712 domain, `ReadReceipt(bytes32 request,uint64
/// expiresAt)`. Where the operator shows receipts to everybody, no signature is needed.
#[utoipa::path(
    get,
    path = "/v1/receipts/{digest}",
    tag = "requests",
    params(
        ("digest" = RequestDigest, Path, description = "the request's digest"),
        ("expires_at" = Option<u64>, Query, description = "until when the signature counts, in milliseconds since 1970"),
        ("signature" = Option<String>, Query, description = "by one of the request's callers"),
    ),
    responses((status = 200, description = "the receipt", body = Object), ReceiptProblems),
)]
async fn receipt(
    State(api): State<Arc<Api>>,
    Id(digest): Id<RequestDigest>,
    access: Access,
) -> Result<Response, Failed> {
    let place = api.transfer()?;
    let receipt = api.in_time(api.backend.receipt(digest, access.0)).await??;
    let json = serde_json::to_vec(receipt.as_ref())
        .map_err(|error| Failed::new(FailureKind::Internal, error.to_string()))?;
    Ok(download(json.into(), "application/json", place))
}

/// The actions that the node stores.
#[utoipa::path(
    get,
    path = "/v1/actions",
    tag = "actions",
    responses((status = 200, description = "the actions", body = ActionList), ViewProblems),
)]
async fn actions(State(api): State<Arc<Api>>) -> Result<Json<ActionList>, Failed> {
    let _place = api.enter()?;
    Ok(Json(api.in_time(api.backend.actions()).await?))
}

/// Publishes an action. The same publication again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/actions",
    tag = "actions",
    request_body(content = PublishedAction, example = json!(document::example(document::PUBLICATION))),
    responses((status = 200, description = "stored", body = ActionInfo), PublishProblems),
)]
async fn publish(State(api): State<Arc<Api>>, request: Request) -> Result<Json<ActionInfo>, Failed> {
    let _place = api.transfer()?;
    let action = body::json(request, MAX_PUBLICATION_BODY_BYTES, api.config.body_timeout()).await?;
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
async fn action(State(api): State<Arc<Api>>, Id(id): Id<ActionId>) -> Result<Json<ActionInfo>, Failed> {
    let _place = api.enter()?;
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
async fn component(State(api): State<Arc<Api>>, Id(id): Id<ActionId>) -> Result<Response, Failed> {
    let place = api.transfer()?;
    let bytes: Bytes = api.in_time(api.backend.component(id)).await??.into();
    Ok(download(bytes, "application/wasm", place))
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
async fn script(State(api): State<Arc<Api>>, Id(id): Id<ActionId>) -> Result<Response, Failed> {
    let place = api.transfer()?;
    let script = api.in_time(api.backend.script(id)).await??;
    Ok(download(script.into(), SCRIPT_TYPE, place))
}

fn download(bytes: Bytes, content_type: &'static str, place: OwnedSemaphorePermit) -> Response {
    let headers =
        [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, bytes.len().to_string())];
    (headers, held(bytes, place)).into_response()
}

/// A body that keeps its place until the client has taken it.
fn held(bytes: Bytes, place: OwnedSemaphorePermit) -> Body {
    let chunks = futures::stream::unfold((bytes, place), |(mut rest, place)| async move {
        if rest.is_empty() {
            return None;
        }
        let chunk = rest.split_to(rest.len().min(COMPONENT_CHUNK_BYTES));
        Some((Ok::<_, std::convert::Infallible>(chunk), (rest, place)))
    });
    Body::from_stream(chunks)
}

/// The network, from this node's view.
#[utoipa::path(
    get,
    path = "/v1/network",
    tag = "network",
    responses((status = 200, description = "the network", body = NetworkInfo), ViewProblems),
)]
async fn network(State(api): State<Arc<Api>>) -> Result<Json<NetworkInfo>, Failed> {
    let _place = api.enter()?;
    Ok(Json(api.in_time(api.backend.network()).await?))
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "network",
    responses((status = 200, description = "the OpenAPI document", body = Object)),
)]
async fn openapi(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response()
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
    responses((status = 200, description = "the metrics", body = String, content_type = "text/plain"), ReadyProblems),
)]
async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Failed> {
    let text = api.in_time(api.backend.metrics()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
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
        let Query(access) = Query::from_request_parts(parts, state).await.map_err(|rejection| {
            Failed::new(FailureKind::Invalid, format!("the query is wrong: {}", rejection.body_text()))
        })?;
        Ok(Self(Some(access)))
    }
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
