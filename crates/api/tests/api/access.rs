//! Who may ask, how often, and over what: TLS, web pages of other origins, and rates.

use std::{fs, num::NonZeroU32, path::Path};

use axum::http::Method;
use countersign_api::{Config, Rate, TlsConfig};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, Response, StatusCode, header};
use tempfile::TempDir;

use crate::{
    connections::{Served, served},
    fake::{Fake, request_body},
};

const APP: &str = "https://app.example";

/// A certificate for `localhost` and its key, in files.
fn certificate(folder: &Path) -> (TlsConfig, Certificate) {
    let CertifiedKey { cert, key_pair } =
        generate_simple_self_signed(vec!["localhost".into()]).expect("made");
    let files = TlsConfig { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    fs::write(&files.certificate, cert.pem()).expect("written");
    fs::write(&files.key, key_pair.serialize_pem()).expect("written");
    (files, Certificate::from_pem(cert.pem().as_bytes()).expect("a certificate"))
}

#[tokio::test]
async fn with_a_certificate_nothing_but_tls_is_spoken() {
    let folder = TempDir::new().expect("a folder");
    let (files, root) = certificate(folder.path());
    let served = served(Fake::default(), Config { tls: Some(files), ..Config::default() }).await;
    let port = served.address.port();
    let trusting = Client::builder().tls_certs_only([root]).build().expect("a client");
    let answer = trusting.get(format!("https://localhost:{port}/healthz")).send().await.expect("over TLS");
    assert_eq!((answer.status(), answer.text().await.expect("text").as_str()), (StatusCode::OK, "ok\n"));

    let plain = trusting.get(format!("http://localhost:{port}/healthz")).send().await;
    assert!(plain.is_err(), "plain HTTP is answered: {plain:?}");
    let other = TempDir::new().expect("a folder");
    let (_, stranger) = certificate(other.path());
    let distrusting = Client::builder().tls_certs_only([stranger]).build().expect("a client");
    distrusting
        .get(format!("https://localhost:{port}/healthz"))
        .send()
        .await
        .expect_err("another certificate");
    // what went wrong with others takes nothing from this one
    let again = trusting.get(format!("https://localhost:{port}/healthz")).send().await.expect("over TLS");
    assert_eq!(again.status(), StatusCode::OK);
    drop(trusting);
    served.stop().await;
}

/// A page's question whether it may post, and its call.
async fn from_page(served: &Served, origin: &str) -> (Response, Response) {
    let (client, url) = (Client::new(), format!("http://{}/v1/requests", served.address));
    let preflight = client
        .request(Method::OPTIONS, &url)
        .header(header::ORIGIN, origin)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type");
    let call = client
        .post(&url)
        .header(header::ORIGIN, origin)
        .header(header::CONTENT_TYPE, "application/json")
        .body(request_body());
    (preflight.send().await.expect("an answer"), call.send().await.expect("an answer"))
}

fn allowed(answer: &Response) -> Option<&str> {
    answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().expect("text"))
}

#[tokio::test]
async fn pages_of_named_origins_may_ask_and_no_others() {
    let config = Config { cors_origins: vec![APP.into()], ..Config::default() };
    let named = served(Fake::default(), config).await;
    let (preflight, call) = from_page(&named, APP).await;
    assert_eq!((preflight.status(), call.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!((allowed(&preflight), allowed(&call)), (Some(APP), Some(APP)));
    assert_eq!(preflight.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type");
    let (preflight, call) = from_page(&named, "https://evil.example").await;
    assert_eq!((allowed(&preflight), allowed(&call)), (None, None));
    named.stop().await;

    let any = served(Fake::default(), Config { cors_origins: vec!["*".into()], ..Config::default() }).await;
    let (preflight, call) = from_page(&any, "https://evil.example").await;
    assert_eq!((allowed(&preflight), allowed(&call)), (Some("*"), Some("*")));
    any.stop().await;

    let none = served(Fake::default(), Config::default()).await;
    let (preflight, call) = from_page(&none, APP).await;
    assert_eq!((preflight.status(), allowed(&preflight)), (StatusCode::METHOD_NOT_ALLOWED, None));
    assert_eq!((call.status(), allowed(&call)), (StatusCode::OK, None));
    none.stop().await;
}

#[tokio::test]
async fn one_address_calls_so_often_and_supervisors_always_come_through() {
    let some = |count| NonZeroU32::new(count).expect("not zero");
    let rate = Rate { per_minute: some(1), burst: some(2) };
    let config = Config { address_rate: Some(rate), cors_origins: vec![APP.into()], ..Config::default() };
    let served = served(Fake::default(), config).await;
    let (client, base) = (Client::new(), format!("http://{}", served.address));
    let get = async |path: &str| {
        let call = client.get(format!("{base}{path}")).header(header::ORIGIN, APP);
        call.send().await.expect("an answer")
    };
    for _ in 0..2 {
        assert_eq!(get("/v1/network").await.status(), StatusCode::OK);
    }
    // each connection counts for its address, whichever it is
    let fresh = Client::new().get(format!("{base}/v1/network")).send().await.expect("an answer");
    assert_eq!(fresh.status(), StatusCode::TOO_MANY_REQUESTS);
    let often = get("/v1/network").await;
    assert_eq!(often.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = often.headers()[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds");
    assert!((30..=60).contains(&wait), "one a minute, and it says {wait} s");
    assert_eq!(allowed(&often), Some(APP), "a page must be able to read why");
    let said = often.text().await.expect("text");
    assert!(said.contains("1 a minute and 2 at once") && said.contains("ask again in"), "{said}");
    for _ in 0..3 {
        assert_eq!(get("/healthz").await.status(), StatusCode::OK);
    }
    drop(client);
    served.stop().await;
}
