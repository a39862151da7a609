//! Bounds on work, and what operators see.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    http::Request,
    response::Response,
};
use countersign_api::{Config, MAX_REQUEST_BODY_BYTES, router};
use countersign_types::action::{MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES};
use futures::{StreamExt, stream};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::fake::{
    COMPONENT_BYTES, Fake, SCRIPT, answer, call, filled, publication_body, request_body, send,
};

#[tokio::test]
async fn a_call_beyond_the_bound_is_answered_busy_and_the_others_are_not_disturbed() {
    let backend = Arc::new(Fake::gated());
    let router =
        router(backend.clone(), &Config { max_in_flight: 2, ..Config::default() }).expect("legal settings");
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { send(&router, "POST", "/v1/requests", request_body()).await.status })
        })
        .collect();
    backend.reached(2).await;

    let problem = send(&router, "POST", "/v1/requests", request_body()).await.problem();
    assert_eq!(problem.kind, "urn:countersign:problem:busy");
    assert_eq!(problem.status, 429);
    assert_eq!(send(&router, "GET", "/healthz", "").await.status, 200, "health is no such call");

    backend.open();
    for call in calls {
        assert_eq!(call.await.expect("no panic"), 200);
    }
    assert_eq!(
        send(&router, "POST", "/v1/requests", request_body()).await.status,
        200,
        "places are free again"
    );
}

#[tokio::test]
async fn a_call_whose_client_left_frees_its_place() {
    let backend = Arc::new(Fake::gated());
    let router =
        router(backend.clone(), &Config { max_in_flight: 1, ..Config::default() }).expect("legal settings");
    let left = tokio::spawn({
        let router = router.clone();
        async move { send(&router, "POST", "/v1/requests", request_body()).await.status }
    });
    backend.reached(1).await;
    left.abort();
    assert!(left.await.expect_err("it was aborted").is_cancelled());
    backend.open();
    assert_eq!(send(&router, "POST", "/v1/requests", request_body()).await.status, 200);
}

#[tokio::test]
async fn publications_and_components_have_places_of_their_own() {
    let backend = Arc::new(Fake::gated());
    let router =
        router(backend.clone(), &Config { max_transfers: 1, ..Config::default() }).expect("legal settings");
    let publishing = tokio::spawn({
        let router = router.clone();
        async move { send(&router, "POST", "/v1/actions", publication_body()).await.status }
    });
    backend.reached(1).await;
    let problem = send(&router, "POST", "/v1/actions", publication_body()).await.problem();
    assert_eq!(problem.detail, "at most 1 publications are taken at once");
    let fetching = tokio::spawn({
        let router = router.clone();
        async move { send(&router, "GET", &filled("/v1/actions/{id}/component"), "").await.status }
    });
    backend.reached(2).await;
    let problem = send(&router, "GET", &filled("/v1/actions/{id}/script"), "").await.problem();
    assert!(problem.detail.contains("bytes of components are sent"), "{}", problem.detail);
    backend.open();
    assert_eq!(send(&router, "POST", "/v1/requests", request_body()).await.status, 200);
    assert_eq!(publishing.await.expect("no panic"), 200);
    assert_eq!(fetching.await.expect("no panic"), 200);
}

/// One call, whose answer nobody reads yet.
async fn unread(router: &Router, method: &str, path: &str, body: String) -> Response {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from(body)).expect("a request");
    router.clone().oneshot(request).await.expect("a router does not fail")
}

#[tokio::test]
async fn large_answers_take_room_until_they_are_read_and_small_ones_none() {
    let config = Config { max_in_flight: 1, ..Config::default() };
    let large = router(Arc::new(Fake::large()), &config).expect("legal settings");
    let result = filled("/v1/requests/{digest}");
    for (method, path, body) in
        [("POST", "/v1/requests", request_body()), ("GET", result.as_str(), String::new())]
    {
        let answer = unread(&large, method, path, body.clone()).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let problem = send(&large, method, path, body.clone()).await.problem();
        assert_eq!(problem.kind, "urn:countersign:problem:busy");
        assert!(problem.detail.contains("bytes of large answers"), "{}", problem.detail);
        // which is small, as what most requests are answered with
        assert_eq!(send(&large, "GET", "/v1/actions", "").await.status, 200, "calls are in nobody's way");
        drop(answer);
        assert_eq!(send(&large, method, path, body).await.status, 200);
    }

    let small = router(Arc::new(Fake::default()), &config).expect("legal settings");
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(unread(&small, "POST", "/v1/requests", request_body()).await);
    }
    assert!(waiting.iter().all(|answer| answer.status() == 200));
}

#[tokio::test]
async fn metrics_are_read_by_a_few_at_once() {
    let backend = Arc::new(Fake::gated());
    let router = router(backend.clone(), &Config::default()).expect("legal settings");
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { send(&router, "GET", "/metrics", "").await.status })
        })
        .collect();
    backend.reached(4).await;
    let problem = send(&router, "GET", "/metrics", "").await.problem();
    assert_eq!(problem.kind, "urn:countersign:problem:busy");
    backend.open();
    for reader in readers {
        assert_eq!(reader.await.expect("no panic"), 200);
    }
    assert_eq!(send(&router, "GET", "/metrics", "").await.status, 200);
}

#[tokio::test]
async fn a_component_holds_its_place_until_it_is_taken() {
    let router = router(Arc::new(Fake::default()), &Config { max_transfers: 1, ..Config::default() })
        .expect("legal settings");
    let path = filled("/v1/actions/{id}/component");
    let request = || axum::http::Request::get(&path).body(axum::body::Body::empty()).expect("a request");
    let first = router.clone().oneshot(request()).await.expect("a router does not fail");
    assert_eq!(send(&router, "GET", &path, "").await.status, 429, "the first is not taken yet");
    let receipt = filled("/v1/receipts/{digest}");
    assert_eq!(send(&router, "GET", &receipt, "").await.status, 200, "receipts have places of their own");

    assert_eq!(first.headers()["content-type"], "application/wasm");
    assert_eq!(first.headers()["content-length"], COMPONENT_BYTES.to_string());
    let body = axum::body::to_bytes(first.into_body(), usize::MAX).await.expect("a whole body");
    assert_eq!(body, vec![7; COMPONENT_BYTES]);
    assert_eq!(send(&router, "GET", &path, "").await.status, 200);
}

#[tokio::test]
async fn a_script_is_text_that_no_browser_runs() {
    let router = router(Arc::new(Fake::default()), &Config::default()).expect("legal settings");
    let answer = send(&router, "GET", &filled("/v1/actions/{id}/script"), "").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, SCRIPT.as_bytes()));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn the_largest_component_and_script_can_be_published() {
    let mut publication: serde_json::Value = serde_json::from_str(&publication_body()).expect("the example");
    publication["component"] = format!("0x{}", "00".repeat(MAX_COMPONENT_BYTES)).into();
    publication["script"] = "\u{1}".repeat(MAX_SCRIPT_BYTES).into();
    assert_eq!(call(Fake::default(), "POST", "/v1/actions", publication.to_string()).await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let router = router(Arc::new(Fake::default()), &Config { body_timeout_ms: 20, ..Config::default() })
        .expect("legal settings");
    let body = axum::body::Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let problem = send(&router, "POST", "/v1/requests", body).await.problem();
    assert_eq!(problem.kind, "urn:countersign:problem:deadline");
    assert!(problem.detail.contains("body"), "{}", problem.detail);
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_refused_before_it_comes() {
    let router = router(Arc::new(Fake::default()), &Config { body_timeout_ms: 20, ..Config::default() })
        .expect("legal settings");
    for (announced, expect, kind) in [
        // who does not ask first is sending by now, and is heard to the end
        (MAX_REQUEST_BODY_BYTES + 1, None, "deadline"),
        (MAX_REQUEST_BODY_BYTES + 1, Some("100-continue"), "too-large"),
        (1 << 30, None, "too-large"),
    ] {
        let mut request = Request::post("/v1/requests")
            .header("content-type", "application/json")
            .header("content-length", announced);
        if let Some(expect) = expect {
            request = request.header("expect", expect);
        }
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = answer(&router, request.body(body).expect("a request")).await.problem();
        assert_eq!(problem.kind, format!("urn:countersign:problem:{kind}"), "{announced} {expect:?}");
    }
}

#[tokio::test]
async fn of_a_body_that_is_too_large_only_so_much_is_read() {
    let router = router(Arc::new(Fake::default()), &Config { body_timeout_ms: 200, ..Config::default() })
        .expect("legal settings");
    // 64 MiB beyond the largest body, and then nothing
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let chunks = stream::iter((0..65).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let body = Body::from_stream(chunks.chain(stream::pending()));
    let problem = send(&router, "POST", "/v1/requests", body).await.problem();
    assert_eq!(problem.kind, "urn:countersign:problem:too-large", "the rest is not waited for");
}

#[tokio::test]
async fn bytes_that_wait_for_the_rest_of_their_body_are_bounded_together() {
    let router = router(Arc::new(Fake::default()), &Config { max_in_flight: 1, ..Config::default() })
        .expect("legal settings");
    let part = vec![b' '; MAX_REQUEST_BODY_BYTES / 2 + 1];
    let (sent, taken) = oneshot::channel();
    let rest = async move {
        // asked for once the first part is taken
        let _ = sent.send(());
        std::future::pending::<Result<Vec<u8>, std::io::Error>>().await
    };
    let parts = stream::iter([Ok(part.clone())]).chain(stream::once(rest));
    let slow = tokio::spawn({
        let router = router.clone();
        async move { send(&router, "POST", "/v1/requests", Body::from_stream(parts)).await.status }
    });
    taken.await.expect("the first part is read");
    let problem = send(&router, "POST", "/v1/requests", part.clone()).await.problem();
    assert_eq!(problem.kind, "urn:countersign:problem:busy");
    assert!(problem.detail.contains("bytes of requests"), "{}", problem.detail);
    assert_eq!(
        send(&router, "POST", "/v1/requests", request_body()).await.status,
        200,
        "there is room for it"
    );

    slow.abort();
    assert!(slow.await.expect_err("it was aborted").is_cancelled());
    assert_eq!(send(&router, "POST", "/v1/requests", part).await.status, 400, "room again, and no JSON");
}

#[tokio::test]
async fn calls_are_counted_by_route_and_status_and_not_by_what_clients_make_up() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _installed = metrics::set_default_local_recorder(&recorder);
    for (method, path) in [
        ("GET", filled("/v1/actions/{id}")),
        ("GET", "/v1/actions/nonsense".into()),
        ("GET", "/made-up".into()),
        ("MADE-UP", "/healthz".into()),
    ] {
        let answer = call(Fake::default(), method, &path, "").await;
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
    }
    let text = handle.render();
    for line in [
        r#"countersign_api_requests_total{method="GET",route="/v1/actions/{id}",status="200"} 1"#,
        r#"countersign_api_requests_total{method="GET",route="/v1/actions/{id}",status="400"} 1"#,
        r#"countersign_api_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"countersign_api_requests_total{method="other",route="/healthz",status="405"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains("countersign_api_request_seconds"), "{text}");
    assert!(!text.to_lowercase().contains("made-up"), "{text}");
}
