//! The OpenAPI document, held against the routes and the types.

use std::collections::BTreeSet;

use countersign_types::{Failure, SignedRequest, action::PublishedAction, failure::FailureKind};
use serde_json::Value;

use crate::fake::{Fake, call, filled, publication_body, request_body};

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

#[tokio::test]
async fn every_failure_that_a_route_may_have_is_documented_with_its_type() {
    let document = countersign_api::document();
    let mut problems = 0;
    for (method, path, operation) in operations(&document) {
        for kind in FailureKind::ALL {
            let response = &operation["responses"][kind.status().to_string()];
            let named = response["description"]
                .as_str()
                .is_some_and(|text| text.contains(&format!("{}:", kind.name())));
            if !named {
                continue;
            }
            problems += 1;
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{path} {kind:?}");
            let failing = Fake::failing(Failure::new(kind, "why"));
            let answer = call(failing, &method, &filled(&path), body_for(&method, &path)).await;
            // Views of the node cannot fail by themselves: only the bounds around them do.
            if answer.status != 200 {
                let status = answer.status.as_u16().to_string();
                assert!(!operation["responses"][&status].is_null(), "{path}: {status} is not documented");
            }
        }
    }
    assert!(problems > 40, "only {problems} problems are documented");
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
    let schema = &document["components"]["schemas"]["Request"];
    assert_eq!(schema["additionalProperties"], false, "an unknown field is refused");
    assert_eq!(document["components"]["schemas"]["Problem"]["properties"]["type"]["type"], "string");
}

#[test]
fn descriptions_are_not_written_for_rust() {
    let text = countersign_api::document().to_string();
    for rust in ["[`", "`]", "MAX_", "::"] {
        assert!(!text.contains(rust), "the document contains {rust:?}");
    }
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
