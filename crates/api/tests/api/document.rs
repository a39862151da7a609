//! The OpenAPI document, held against the routes and the types.

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

use countersign_api::{Config, Rate, names, router};
use countersign_fuzzing::receipts::Case;
use countersign_types::{
    Failure, MAX_CALLERS, MAX_MEMBERS, PayloadKind, Scheme, SignedRequest,
    action::{MAX_CHAINS, MAX_HOSTS, MAX_NAME_BYTES, PublishedAction},
    api::Problem,
    failure::FailureKind,
};
use serde_json::Value;

use crate::{
    connections::served,
    fake::{Fake, call, filled, publication_body, request_body, send},
};

/// Every route that there is. A new one is added here, so that nobody adds it unnoticed.
const ROUTES: [(&str, &str); 14] = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/readyz"),
    ("GET", "/v1/actions"),
    ("POST", "/v1/actions"),
    ("GET", "/v1/actions/{id}"),
    ("GET", "/v1/actions/{id}/component"),
    ("GET", "/v1/actions/{id}/script"),
    ("GET", "/v1/network"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/receipts/{digest}"),
    ("POST", "/v1/requests"),
    ("GET", "/v1/requests/{digest}"),
    ("HEAD", "/healthz"),
];

/// Method, path, and what the document says of them.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    });
    operations.collect()
}

fn body_for(method: &str, path: &str) -> String {
    match (method, path) {
        ("POST", "/v1/requests") => request_body(),
        ("POST", "/v1/actions") => publication_body(),
        _ => String::new(),
    }
}

#[test]
fn the_document_has_exactly_the_routes() {
    let document = countersign_api::document();
    let documented: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    // HEAD comes with every GET and is not documented.
    let routes = ROUTES.iter().filter(|(method, _)| *method != "HEAD");
    let routes: BTreeSet<_> =
        routes.map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(documented, routes);
}

#[tokio::test]
async fn every_documented_operation_is_served_and_no_other_method() {
    let document = countersign_api::document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let documented = item.get(method.to_lowercase()).is_some();
            let answer = call(Fake::default(), method, &filled(path), body_for(method, path)).await;
            let status = answer.status.as_u16();
            assert_eq!(status, if documented { 200 } else { 405 }, "{method} {path}");
        }
    }
    for (method, path) in ROUTES {
        let answer = call(Fake::default(), method, &filled(path), body_for(method, path)).await;
        assert_eq!(answer.status, 200, "{method} {path}");
    }
}

#[tokio::test]
async fn answers_have_documented_statuses_and_content_types() {
    let document = countersign_api::document();
    for (method, path, operation) in operations(&document) {
        let answer = call(Fake::default(), &method, &filled(&path), body_for(&method, &path)).await;
        let said = answer.headers["content-type"].to_str().expect("text").to_owned();
        let content = operation["responses"]["200"]["content"].as_object().expect("content");
        let documented: Vec<&String> = content.keys().collect();
        assert!(
            documented.iter().any(|kind| said.starts_with(kind.as_str())),
            "{path}: {said} of {documented:?}"
        );
    }
}

/// Whether a call can fail in this way. Every kind is decided on here for every route, by what the node does and not by what the
/// document says.
fn can_fail(method: &str, path: &str, kind: FailureKind) -> bool {
    // also the result of a request: it may be a failure of the session that runs
    let signs = path.starts_with("/v1/requests");
    let publishes = (method, path) == ("POST", "/v1/actions");
    let lists = (method, path) == ("GET", "/v1/actions");
    let receipt = path == "/v1/receipts/{digest}";
    let looks_up = path.starts_with("/v1/actions/{id}");
    match kind {
        FailureKind::Invalid => signs || publishes || receipt || looks_up,
        FailureKind::Unauthorised => signs || publishes || receipt,
        // an action that is fetched for a request is taken by the rules of one that is published
        FailureKind::PublisherNotListed | FailureKind::StorageFull | FailureKind::TooLarge => {
            signs || publishes
        }
        FailureKind::NotFound => signs || receipt || looks_up,
        FailureKind::Busy => path.starts_with("/v1/") || path == "/metrics",
        FailureKind::NotReady => signs || receipt || path == "/readyz",
        FailureKind::Deadline => !["/healthz", "/v1/openapi.json"].contains(&path),
        FailureKind::Internal => signs || publishes || lists || receipt || looks_up,
        FailureKind::WrongNetwork
        | FailureKind::Expired
        | FailureKind::NotYetIssued
        | FailureKind::BeforeBoot
        | FailureKind::Refused
        | FailureKind::UnknownAction
        | FailureKind::Disagreement
        | FailureKind::NonceReused
        | FailureKind::NotCoordinator
        | FailureKind::Unavailable
        | FailureKind::ActionFailed
        | FailureKind::UnusableSource => signs,
    }
}

#[test]
fn the_document_names_exactly_the_failures_that_a_route_can_have() {
    let document = countersign_api::document();
    for (method, path, operation) in operations(&document) {
        for kind in FailureKind::ALL {
            let problem = Problem::from(Failure::new(kind, "why"));
            let named = names(&document, &method, &filled(&path), &problem);
            assert_eq!(named, Some(can_fail(&method, &path, kind)), "{method} {path}: {kind:?}");
            if named == Some(true) {
                let response = &operation["responses"][kind.status().to_string()];
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{method} {path}: {kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_node_answers_with_is_answered_as_the_document_says() {
    let document = countersign_api::document();
    let mut failed = 0;
    for (method, path, _) in operations(&document) {
        for kind in FailureKind::ALL.into_iter().filter(|kind| can_fail(&method, &path, *kind)) {
            let failing = Fake::failing(Failure::new(kind, "why"));
            // which holds every problem against the document
            let answer = call(failing, &method, &filled(&path), body_for(&method, &path)).await;
            // views of the node cannot fail by themselves, only the bounds around them do; and a node that is not ready is no more
            let expected = if path == "/readyz" { FailureKind::NotReady } else { kind };
            if answer.status != 200 {
                failed += 1;
                let answered = answer.problem().into_failure().map(|failure| failure.kind);
                assert_eq!(answered, Some(expected), "{method} {path}");
            }
        }
    }
    assert!(failed > 60, "only {failed} failures were answered");
}

#[tokio::test]
async fn every_route_that_waits_for_the_node_has_a_deadline() {
    let document = countersign_api::document();
    let config = Config { deadline_ms: 1, ..Config::default() };
    for (method, path, _) in operations(&document) {
        let router = router(Arc::new(Fake::gated()), &config).expect("legal settings");
        let answer = send(&router, &method, &filled(&path), body_for(&method, &path)).await;
        let expected = if can_fail(&method, &path, FailureKind::Deadline) { 504 } else { 200 };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn every_route_but_those_of_supervisors_counts_against_the_rate() {
    let document = countersign_api::document();
    let once = Rate { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let served = served(Fake::default(), Config { address_rate: Some(once), ..Config::default() }).await;
    let (client, base) = (reqwest::Client::new(), format!("http://{}", served.address));
    client.get(format!("{base}/v1/network")).send().await.expect("an answer");
    for (method, path, _) in operations(&document) {
        let busy = path.starts_with("/v1/");
        let (known, url) = (method.parse().expect("a method"), format!("{base}{}", filled(&path)));
        let call = client.request(known, url).header("content-type", "application/json");
        let answer = call.body(body_for(&method, &path)).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), if busy { 429 } else { 200 }, "{method} {path}");
        if busy {
            let problem = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("a problem");
            let named = names(&document, &method, &filled(&path), &problem);
            assert_eq!(named, Some(true), "{method} {path}: {problem:?}");
        }
    }
    drop(client);
    served.stop().await;
}

#[test]
fn a_document_names_what_stands_in_it_and_nothing_else() {
    let document = countersign_api::document();
    let problem = |kind| Problem::from(Failure::new(kind, "why"));
    let named = |method, path: &str, problem: &Problem| names(&document, method, &filled(path), problem);
    let not_found = problem(FailureKind::NotFound);
    for method in ["GET", "HEAD"] {
        assert_eq!(named(method, "/v1/actions/{id}", &not_found), Some(true));
    }
    assert_eq!(named("GET", "/v1/actions/{id}/script", &not_found), Some(true));
    assert_eq!(named("GET", "/v1/actions", &not_found), Some(false));
    assert_eq!(named("POST", "/v1/actions/{id}", &not_found), None, "it has no such method");
    assert_eq!(named("GET", "/v1/actions/{id}/other", &not_found), None, "there is no such route");
    // of the same status
    assert_eq!(named("GET", "/v1/actions/{id}", &problem(FailureKind::UnknownAction)), Some(false));
    let foreign = Problem { kind: "about:blank".into(), ..not_found.clone() };
    assert_eq!(named("GET", "/v1/actions/{id}", &foreign), Some(false));
    let elsewhere = Problem { status: 400, ..not_found };
    assert_eq!(named("GET", "/v1/actions/{id}", &elsewhere), Some(false));
}

#[tokio::test]
async fn malformed_and_oversized_input_gives_documented_statuses() {
    let document = countersign_api::document();
    for (method, path, operation) in operations(&document) {
        let mut statuses = Vec::new();
        if path.contains('{') {
            let wrong = path.replace("{id}", "1").replace("{digest}", "1");
            statuses.push(call(Fake::default(), &method, &wrong, "").await.status.as_u16());
        }
        if method == "POST" {
            statuses.push(call(Fake::default(), &method, &path, "{}").await.status.as_u16());
            let oversized = vec![b' '; countersign_api::MAX_PUBLICATION_BODY_BYTES + 1];
            statuses.push(call(Fake::default(), &method, &path, oversized).await.status.as_u16());
        }
        for status in statuses {
            assert!(matches!(status, 400 | 413), "{method} {path}: {status}");
            assert!(
                !operation["responses"][status.to_string()].is_null(),
                "{path}: {status} is not documented"
            );
        }
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let answer = call(Fake::default(), "GET", "/v1/openapi.json", "").await;
    let served: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(served, countersign_api::document());
    assert_eq!(served["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
}

#[test]
fn every_reference_leads_to_a_schema_and_every_body_has_one() {
    let document = countersign_api::document();
    let schemas: BTreeSet<String> =
        document["components"]["schemas"].as_object().expect("schemas").keys().cloned().collect();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.is_subset(&schemas), "missing: {:?}", references.difference(&schemas));
    assert!(schemas.is_subset(&references), "unused: {:?}", schemas.difference(&references));
    for name in [
        "SignedRequest",
        "Request",
        "KeySpec",
        "Policy",
        "KeyOptions",
        "Caller",
        "SignResponse",
        "SignedPayload",
        "SignerVote",
        "NodeDecision",
        "Problem",
        "Disagreement",
        "PublishedAction",
        "Manifest",
        "Limits",
        "ActionInfo",
        "ActionList",
        "NetworkInfo",
        "Genesis",
        "RootKeys",
        "MemberInfo",
        "Pin",
        "Receipt",
        "SessionTerms",
    ] {
        assert!(schemas.contains(name), "{name} is not among {schemas:?}");
    }
}

fn collect_references(json: &Value, into: &mut BTreeSet<String>) {
    if let Some(name) = json["$ref"].as_str() {
        into.insert(name.trim_start_matches("#/components/schemas/").to_owned());
    }
    let object = json.as_object().into_iter().flat_map(|fields| fields.values());
    let array = json.as_array().into_iter().flatten();
    object.chain(array).for_each(|child| collect_references(child, into));
}

#[test]
fn schemas_have_the_fields_of_the_bodies() {
    let document = countersign_api::document();
    let fields = |schema: &str| -> BTreeSet<String> {
        let properties = &document["components"]["schemas"][schema]["properties"];
        properties
            .as_object()
            .unwrap_or_else(|| panic!("{schema} has no properties"))
            .keys()
            .cloned()
            .collect()
    };
    let example: Value = serde_json::from_str(&request_body()).expect("the example");
    let of = |json: &Value| json.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(fields("SignedRequest"), of(&example));
    assert_eq!(fields("Request"), of(&example["request"]));
    assert_eq!(fields("KeySpec"), of(&example["request"]["key"]));
    let receipt = serde_json::to_value(Case::honest(Scheme::Ed25519).receipt).expect("a receipt");
    assert_eq!(fields("Receipt"), of(&receipt));
    assert_eq!(fields("SessionTerms"), of(&receipt["terms"]));
    let schema = &document["components"]["schemas"]["Request"];
    assert_eq!(schema["additionalProperties"], false, "an unknown field is refused");
    assert_eq!(document["components"]["schemas"]["Problem"]["properties"]["type"]["type"], "string");
}

#[test]
fn schemas_have_the_bounds_of_the_bodies() {
    let document = countersign_api::document();
    let field = |path: &str| {
        let (schema, field) = path.split_once('.').expect("a field");
        &document["components"]["schemas"][schema]["properties"][field]
    };
    let bounds = [
        ("Request.callers", 1, MAX_CALLERS),
        ("SignedRequest.signatures", 1, MAX_CALLERS),
        ("Request.coordinators", 0, MAX_MEMBERS),
        ("KeySpec.payloads", 1, PayloadKind::ALL.len()),
        ("Manifest.hosts", 0, MAX_HOSTS),
        ("Manifest.chains", 0, MAX_CHAINS),
    ];
    for (path, least, most) in bounds {
        let field = field(path);
        assert_eq!(field["minItems"].as_u64().unwrap_or(0), least, "{path}");
        assert_eq!(field["maxItems"], most, "{path}");
    }
    assert_eq!(field("Manifest.name")["pattern"], format!("^[a-z0-9-]{{1,{MAX_NAME_BYTES}}}$"));
}

#[test]
fn descriptions_are_not_written_for_rust() {
    let text = countersign_api::document().to_string();
    for rust in ["[`", "`]", "MAX_", "::"] {
        assert!(!text.contains(rust), "the document contains {rust:?}");
    }
}

#[test]
fn the_page_of_the_interface_shows_the_request_of_the_document() {
    let page = include_str!("../../../../docs/api.md");
    let (_, shown) = page.split_once("```json\n").expect("an example");
    let (shown, _) = shown.split_once("```").expect("its end");
    let shown: Value = serde_json::from_str(shown).expect("JSON");
    let example: Value = serde_json::from_str(&request_body()).expect("the example");
    assert_eq!(shown, example);
    let request: SignedRequest = serde_json::from_value(shown).expect("a request");
    let digest = request.request.digest().to_string();
    assert!(page.contains(&digest), "its digest {digest} is not told");
}

#[test]
fn the_examples_parse_and_their_signatures_verify() {
    let request: SignedRequest = serde_json::from_str(&request_body()).expect("a request");
    let network = request.request.network;
    request.validate().expect("signed by its caller");
    let action: PublishedAction = serde_json::from_str(&publication_body()).expect("a publication");
    action.signed.validate(network).expect("signed by its publisher");
    let (signed, content) = action.into_parts();
    assert!(content.component.is_some());
    content.check(&signed.publish.manifest).expect("the component that it names");
}
