//! The OpenAPI document: what is common to all routes, the problems by route, and the examples.

use std::collections::BTreeMap;

use countersign_types::{
    Limits, MAX_CALLERS, MAX_CONFIG_BYTES, MAX_LIFETIME_MS, MAX_PARAMS_BYTES, action,
    api::{PROBLEM_PREFIX, Problem},
    failure::FailureKind::{self, *},
};
use serde_json::Value;
use utoipa::{
    IntoResponses, OpenApi,
    openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder},
};

use crate::{problem::PROBLEM_JSON, routes};

/// The example of a request for signatures. Its signature verifies.
pub(crate) const REQUEST: &str = include_str!("examples/request.json");
/// The example of a publication. Its signature verifies, and its component is the one that it names.
pub(crate) const PUBLICATION: &str = include_str!("examples/publication.json");

/// The OpenAPI document as JSON, as it is served.
pub fn document() -> Value {
    to_json(&routes::paths())
}

/// Whether a document names this type of problem for a call, by its method and path; none where it has no such call: those are
/// answered alike everywhere.
pub fn names(document: &Value, method: &str, path: &str, problem: &Problem) -> Option<bool> {
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
    let mut routes = document["paths"].as_object()?.iter();
    let (_, item) = routes.find(|(route, _)| fits(route, path))?;
    let responses = item.get(method)?.get("responses")?;
    let said = responses[problem.status.to_string()]["description"].as_str().unwrap_or_default();
    let mut named = said.split("; ").filter_map(|line| line.split_once(": "));
    Some(named.any(|(name, _)| problem.kind.strip_prefix(PROBLEM_PREFIX) == Some(name)))
}

/// Whether a path is one of a route, whose parameters stand in braces.
fn fits(route: &str, path: &str) -> bool {
    let (route, path) = (route.split('/'), path.split('/'));
    route.clone().count() == path.clone().count()
        && route.zip(path).all(|(expected, got)| expected.starts_with('{') || expected == got)
}

/// What the document says besides the routes.
pub(crate) fn head() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(
        info(
            title = "Countersign",
            description = "A network that signs if its nodes' own runs of an action allow it. Bytes are 0x-hex, \
                           times milliseconds since 1970. Failures are problem details (RFC 9457).",
            license(name = "MIT OR Apache-2.0")
        ),
        tags(
            (name = "requests", description = "asking for signatures"),
            (name = "actions", description = "the programs that decide"),
            (name = "network", description = "what a client must know"),
            (name = "operation", description = "for operators")
        ),
        components(schemas(Problem))
    )]
    struct Head;
    Head::openapi()
}

/// The document with descriptions that make sense outside of Rust: no links, constants by value.
pub(crate) fn to_json(openapi: &utoipa::openapi::OpenApi) -> Value {
    let mut json = serde_json::to_value(openapi).expect("the document is made of strings and maps");
    translate(&mut json);
    json
}

/// An example as JSON.
pub(crate) fn example(text: &str) -> Value {
    serde_json::from_str(text).expect("examples are checked by a test")
}

fn translate(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match value {
                    Value::String(text) if name == "description" => *text = plain(text),
                    Value::Array(_) | Value::Object(_) => translate(value),
                    Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(translate),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn plain(text: &str) -> String {
    let values = [
        ("MAX_PARAMS_BYTES", format!("{MAX_PARAMS_BYTES} bytes")),
        ("MAX_CONFIG_BYTES", format!("{MAX_CONFIG_BYTES} bytes")),
        ("MAX_LIFETIME_MS", format!("{MAX_LIFETIME_MS} ms")),
        ("MAX_CALLERS", MAX_CALLERS.to_string()),
        ("MAX_NAME_BYTES", action::MAX_NAME_BYTES.to_string()),
        ("MAX_HOSTS", action::MAX_HOSTS.to_string()),
        ("MAX_CHAINS", action::MAX_CHAINS.to_string()),
        ("Limits::MAX", serde_json::json!(Limits::MAX).to_string()),
        ("activation_digest", "the EIP-712 digest of Activate".into()),
        ("PublishAction::digest", "the EIP-712 digest of PublishAction".into()),
    ];
    let linked = |text: String, (name, value): &(&str, String)| text.replace(&format!("[`{name}`]"), value);
    values.iter().fold(text.to_owned(), linked).replace("[`", "").replace("`]", "")
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $kinds:expr;)+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            pub(crate) const KINDS: &[FailureKind] = $kinds;
        }

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                by_status(Self::KINDS)
            }
        }
    )+};
}

problems! {
    /// Asking for signatures may fail in every way: what keeps too many members away is the answer, whatever it is.
    SignProblems: &FailureKind::ALL;
    /// Publishing is checked and bounded.
    PublishProblems: &[
        Invalid, Unauthorised, PublisherNotListed, TooLarge, Busy, StorageFull, Deadline, Internal,
    ];
    /// A receipt is looked up by a request, by those who may see it.
    ReceiptProblems: &[Invalid, Unauthorised, NotFound, Busy, NotReady, Deadline, Internal];
    /// A thing is looked up by its id.
    LookupProblems: &[Invalid, NotFound, Busy, Deadline, Internal];
    /// What is stored is listed.
    ListProblems: &[Busy, Deadline, Internal];
    /// A view of the node has no parameters, and nothing that can fail.
    ViewProblems: &[Busy, Deadline];
    /// The document is at hand.
    DocumentProblems: &[Busy];
    /// The node says whether it can sign.
    ReadyProblems: &[NotReady, Deadline];
    /// Whoever measures asks as often as it likes, with few others at once.
    MetricsProblems: &[Busy, Deadline];
}

/// One response for each status, naming the types of its problems.
fn by_status(kinds: &[FailureKind]) -> BTreeMap<String, RefOr<Response>> {
    let mut statuses: BTreeMap<u16, Vec<FailureKind>> = BTreeMap::new();
    for kind in kinds {
        statuses.entry(kind.status()).or_default().push(*kind);
    }
    statuses
        .into_iter()
        .map(|(status, kinds)| (status.to_string(), response(status, &kinds).into()))
        .collect()
}

fn response(status: u16, kinds: &[FailureKind]) -> Response {
    let lines: Vec<String> = kinds.iter().map(|kind| format!("{}: {}", kind.name(), kind.title())).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(lines.join("; ")).content(PROBLEM_JSON, content);
    if matches!(status, 429 | 503) {
        let retry = HeaderBuilder::new().description(Some("when to try again, in seconds")).build();
        response.header("Retry-After", retry).build()
    } else {
        response.build()
    }
}
