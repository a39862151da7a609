//! Failures as problem details.

use std::time::Duration;

use axum::http::{StatusCode, header};
use countersign_types::{
    Decision, Failure, NodeDecision,
    failure::{Disagreement, FailureKind, Saw},
};

use crate::fake::{Fake, call, request_body};

fn failure(kind: FailureKind) -> Failure {
    let node = NodeDecision {
        peer_id: "16Uiu2HAm".into(),
        decision: Decision::Refuse,
        reason: Some("the balance is 3, at least 5 is needed".into()),
    };
    let saw = Saw { peer_id: "16Uiu2HAm".into(), read: None, value: None };
    let disagreement = Disagreement {
        position: 2,
        what: Some("GET https://a.example/".into()),
        pointer: None,
        rule: "identical".into(),
        reason: "the nodes read different values".into(),
        saw: vec![saw],
    };
    Failure {
        kind,
        detail: "what happened".into(),
        nodes: vec![node],
        disagreement: Some(Box::new(disagreement)),
        retry_after: None,
    }
}

#[tokio::test]
async fn every_failure_has_its_status_and_type_and_tells_all_that_is_known() {
    for kind in FailureKind::ALL {
        let answer = call(Fake::failing(failure(kind)), "POST", "/v1/requests", request_body()).await;
        assert_eq!(answer.status.as_u16(), kind.status(), "{kind:?}");
        let problem = answer.problem();
        assert_eq!(problem.kind, format!("urn:countersign:problem:{}", kind.name()));
        assert_eq!(problem.title, kind.title());
        assert_eq!(problem.into_failure(), Some(failure(kind)));
    }
}

#[tokio::test]
async fn only_busy_and_unavailable_answers_say_when_to_come_back() {
    for kind in FailureKind::ALL {
        let answer = call(Fake::failing(failure(kind)), "POST", "/v1/requests", request_body()).await;
        let says_when = answer.headers.get(header::RETRY_AFTER).is_some();
        assert_eq!(says_when, matches!(kind.status(), 429 | 503), "{kind:?}");
    }
}

#[tokio::test]
async fn an_answer_says_when_it_is_worth_coming_back() {
    let says = async |failure: Failure| {
        let answer = call(Fake::failing(failure), "POST", "/v1/requests", request_body()).await;
        answer.headers[header::RETRY_AFTER].to_str().expect("text").to_owned()
    };
    let busy = || Failure::new(FailureKind::Busy, "too many calls");
    for (ms, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_300, "60")] {
        assert_eq!(says(busy().with_retry_after(Duration::from_millis(ms))).await, seconds, "{ms} ms");
    }
    assert_eq!(says(busy()).await, "1");
    assert_eq!(says(Failure::new(FailureKind::Unavailable, "too few nodes")).await, "5");
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    for path in ["/", "/v1", "/v2/requests", "/v1/requests/", "/v1/actions/0x00/other"] {
        let problem = call(Fake::default(), "GET", path, "").await.problem();
        assert_eq!(problem.kind, "urn:countersign:problem:not-found", "{path}");
    }
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_named_with_those_that_it_has() {
    for (method, path, allowed) in [
        ("DELETE", "/v1/requests", "POST"),
        ("PUT", "/v1/actions", "GET,HEAD,POST"),
        ("POST", "/v1/network", "GET,HEAD"),
        ("MADE-UP", "/healthz", "GET,HEAD"),
    ] {
        let answer = call(Fake::default(), method, path, "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(answer.problem().kind, "urn:countersign:problem:method-not-allowed");
        assert_eq!(answer.headers[header::ALLOW], allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn a_node_that_cannot_sign_is_healthy_but_not_ready() {
    let failure = Failure::new(FailureKind::NotReady, "2 of 5 members are connected, 3 are needed");
    let answer = call(Fake::failing(failure.clone()), "GET", "/readyz", "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.problem().detail, failure.detail);
    assert_eq!(call(Fake::failing(failure), "GET", "/healthz", "").await.status, StatusCode::OK);
    assert_eq!(call(Fake::default(), "GET", "/readyz", "").await.status, StatusCode::OK);
}
