//! What clients get wrong: each a 400 that says what and where.

use axum::{body::Body, http::Request};
use countersign_api::{Config, MAX_REQUEST_BODY_BYTES, router};
use countersign_types::failure::{Failure, FailureKind};
use serde_json::Value;

use crate::fake::{Answer, Fake, answer, call, publication_body, request_body};

/// The example with one value replaced; a null pointer's parent gets a new field.
fn changed(body: &str, pointer: &str, value: &str) -> String {
    let mut json: Value = serde_json::from_str(body).expect("the example");
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    let parent = json.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    parent.insert(field.into(), serde_json::from_str(value).expect("JSON"));
    json.to_string()
}

fn invalid(answer: &Answer, told: &[&str], what: &str) {
    assert_eq!(answer.status, 400, "{what}");
    let problem = answer.problem();
    assert_eq!(problem.kind, "urn:countersign:problem:invalid", "{what}");
    for text in told {
        assert!(problem.detail.contains(text), "{what}: {:?} does not tell {text:?}", problem.detail);
    }
}

#[tokio::test]
async fn a_malformed_request_is_told_where_it_is_wrong() {
    let example = request_body();
    let change = |pointer: &str, value: &str| changed(&example, pointer, value);
    for (body, told) in [
        ("".into(), vec!["missing"]),
        ("{".into(), vec!["not JSON", "line 1 column 1"]),
        ("{\n\"request\": nonsense".into(), vec!["not JSON", "line 2 column"]),
        ("{} trailing".into(), vec!["line 1"]),
        ("null".into(), vec!["does not fit", "null"]),
        ("{}".into(), vec!["missing field `request`"]),
        ("\u{0}".into(), vec!["not JSON"]),
        ("[".repeat(10_000), vec!["line 1"]),
        (change("/request/network", "\"0x12\""), vec!["request.network", "column"]),
        (change("/request/network", "7"), vec!["request.network", "7"]),
        (change("/request/params", "\"0xzz\""), vec!["request.params"]),
        (change("/request/params", "\"0x123\""), vec!["request.params"]),
        (
            change("/request/key/scheme", "\"rot13\""),
            vec!["request.key.scheme", "rot13", "schnorr-secp256k1"],
        ),
        (change("/request/key/ownr", "\"0x\""), vec!["request.key.ownr", "unknown field `ownr`"]),
        (change("/request/coordinator", "[]"), vec!["request.coordinator", "unknown field `coordinator`"]),
        (change("/request/callers/0/kind", "\"magic\""), vec!["request.callers[0].kind", "eip191"]),
        (change("/request/issued_at", "-1"), vec!["request.issued_at", "-1"]),
        (change("/request/expires_at", "18446744073709551616"), vec!["request.expires_at"]),
        (change("/extra", "1"), vec!["unknown field `extra`"]),
    ] {
        invalid(
            &call(Fake::default(), "POST", "/v1/requests", body.clone()).await,
            &told,
            &body[..body.len().min(300)],
        );
    }
    assert_eq!(call(Fake::default(), "POST", "/v1/requests", example).await.status, 200);
}

/// Its signatures are for the network that it was signed for, and for no caller on the one that it names.
#[tokio::test]
async fn a_request_that_names_another_network_is_told_that_and_not_that_nobody_signed_it() {
    let other = format!("0x{}", "77".repeat(32));
    let elsewhere = changed(&request_body(), "/request/network", &format!("\"{other}\""));
    let told = async |kind, body: String| {
        let failing = Fake::failing(Failure::new(kind, "why"));
        call(failing, "POST", "/v1/requests", body).await.problem()
    };
    let problem = told(FailureKind::Unauthorised, elsewhere.clone()).await;
    assert_eq!((problem.status, problem.kind.as_str()), (400, "urn:countersign:problem:wrong-network"));
    assert!(problem.detail.contains(&other), "{}", problem.detail);

    let problem = told(FailureKind::Unauthorised, request_body()).await;
    assert_eq!(problem.kind, "urn:countersign:problem:unauthorised");
    let problem = told(FailureKind::NotReady, elsewhere).await;
    assert_eq!(problem.kind, "urn:countersign:problem:not-ready", "it has judged nothing");
}

/// As docs/api.md says.
#[tokio::test]
async fn a_body_is_read_without_0x_too() {
    let bare = request_body().replace("\"0x", "\"");
    assert_ne!(bare, request_body());
    assert_eq!(call(Fake::default(), "POST", "/v1/requests", bare).await.status, 200);
}

#[tokio::test]
async fn a_malformed_publication_is_told_what_is_wrong() {
    let example = publication_body();
    let change = |pointer: &str, value: &str| changed(&example, pointer, value);
    for (body, told) in [
        (change("/component", "\"0xq\""), vec!["component"]),
        (change("/extra", "1"), vec!["unknown field `extra`"]),
        (change("/publish/extra", "1"), vec!["unknown field `extra`"]),
        (change("/publish/manifest/limits/fuel", "\"much\""), vec!["much"]),
        (change("/publish/manifest/chains", "[-1]"), vec!["-1"]),
        (change("/signature", "null"), vec!["null"]),
    ] {
        invalid(&call(Fake::default(), "POST", "/v1/actions", body.clone()).await, &told, &body);
    }
    assert_eq!(call(Fake::default(), "POST", "/v1/actions", example).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_called_json_is_refused() {
    let router = router(std::sync::Arc::new(Fake::default()), &Config::default()).expect("legal settings");
    for (content_type, accepted) in [
        (None, false),
        (Some("text/plain"), false),
        (Some("application/x-www-form-urlencoded"), false),
        (Some("application/json"), true),
        (Some("Application/JSON; charset=utf-8"), true),
    ] {
        let mut request = Request::post("/v1/requests");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = answer(&router, request.body(Body::from(request_body())).expect("a request")).await;
        if accepted {
            assert_eq!(answer.status, 200, "{content_type:?}");
        } else {
            let got = content_type.unwrap_or("none");
            invalid(&answer, &["application/json", got], got);
        }
    }
}

#[tokio::test]
async fn an_identifier_that_is_none_is_told_what_one_is() {
    let digits = "11".repeat(32);
    for id in
        ["1", "0x11", &digits, &format!("0x{}", "zz".repeat(32)), &format!("0x{digits}11"), "%ff", "%00"]
    {
        for path in
            [format!("/v1/requests/{id}"), format!("/v1/actions/{id}"), format!("/v1/actions/{id}/component")]
        {
            let answer = call(Fake::default(), "GET", &path, "").await;
            invalid(&answer, &["the path is wrong"], &path);
        }
    }
    let problem = call(Fake::default(), "GET", "/v1/actions/0x11", "").await.problem();
    assert!(
        problem.detail.contains("expected 0x and 64 hexadecimal digits, got \"0x11\""),
        "{}",
        problem.detail
    );
}

#[tokio::test]
async fn a_query_that_is_wrong_is_told_with_its_parameter() {
    let receipt = format!("/v1/receipts/0x{}", "11".repeat(32));
    let (node, signature) = (format!("0x{}", "22".repeat(20)), format!("0x{}", "33".repeat(65)));
    for (query, told) in [
        ("node=1".into(), vec!["node is \"1\"", "0x and 40 hexadecimal digits"]),
        ("expires_at=5".into(), vec!["node is missing", "go together"]),
        (format!("node={node}"), vec!["expires_at is missing", "milliseconds since 1970"]),
        (format!("node={node}&expires_at=soon"), vec!["expires_at is \"soon\"", "milliseconds"]),
        (format!("node={node}&expires_at=5"), vec!["signature is missing", "0x and 130 hexadecimal digits"]),
        (format!("node={node}&expires_at=5&signature=0xzz"), vec!["signature is \"0xzz\"", "130"]),
        (format!("nod={node}"), vec!["unknown field `nod`", "`expires_at`"]),
    ] {
        let answer = call(Fake::default(), "GET", &format!("{receipt}?{query}"), "").await;
        invalid(&answer, &["the query is wrong"], &query);
        invalid(&answer, &told, &query);
    }
    let path = format!("{receipt}?node={node}&expires_at=5&signature={signature}");
    assert_eq!(call(Fake::default(), "GET", &path, "").await.status, 200);
}

#[tokio::test]
async fn an_oversized_body_is_refused_whether_or_not_its_size_is_announced() {
    let body = vec![b' '; MAX_REQUEST_BODY_BYTES + 1];
    let chunks =
        body.chunks(64 << 10).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>();
    let unannounced = Body::from_stream(futures::stream::iter(chunks));
    for body in [Body::from(body), unannounced] {
        let answer = call(Fake::default(), "POST", "/v1/requests", body).await;
        assert_eq!(answer.status.as_u16(), FailureKind::TooLarge.status());
        let problem = answer.problem();
        assert_eq!(problem.kind, "urn:countersign:problem:too-large");
        assert!(problem.detail.contains(&MAX_REQUEST_BODY_BYTES.to_string()), "{}", problem.detail);
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_bound_is_read() {
    let mut body = request_body();
    body.push_str(&" ".repeat(MAX_REQUEST_BODY_BYTES - body.len()));
    assert_eq!(call(Fake::default(), "POST", "/v1/requests", body).await.status, 200);
}
