//! `countersign sign --receipt` where the receipt does not come with the signature.

use std::{path::Path, process::Output};

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Bytes,
    http::{Method, StatusCode, Uri, header},
};
use countersign_receipt::Receipt;
use countersign_testnet::demonstrations::request;
use countersign_types::{ActionId, Failure, FailureKind, api::Problem};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Running, countersign, document, opened, says, without_chain};

const OPEN: &str = "text:{\"not_before\":1700000000}";

fn sign(network: &Running, node: &str, action: ActionId, params: &Path, receipt: &Path) -> Result<Output> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path");
    let (genesis, caller) = (network.plan.folder.join("genesis.json"), network.key_file("caller"));
    let params = format!("@{}", text(params)?);
    countersign([
        "--json",
        "sign",
        "--node",
        node,
        "--genesis",
        &text(&genesis)?,
        "--action",
        &action.to_string(),
        "--config",
        OPEN,
        "--caller-key",
        &text(&caller)?,
        "--params",
        &params,
        "--receipt",
        &text(receipt)?,
    ])
}

/// A node's interface before which something stands that lets no receipt through.
async fn without_receipts(node: &str) -> Result<String> {
    let (client, node) = (reqwest::Client::new(), node.to_owned());
    let forward = async move |method: Method, uri: Uri, body: Bytes| {
        if uri.path().starts_with("/v1/receipts/") {
            let none = Problem::from(Failure::new(FailureKind::NotFound, "no receipt of it is stored here"));
            return (StatusCode::NOT_FOUND, json!(none).to_string());
        }
        let call = client.request(method, format!("{node}{uri}")).body(body);
        match call.header(header::CONTENT_TYPE, "application/json").send().await {
            Ok(answer) => (answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(forward)).await });
    Ok(url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_does_not_come_with_the_signature_is_fetched() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let action = network.time_lock().await?;
    let (folder, caller) = (network.plan.folder.clone(), network.key("caller")?);
    // with it the receipt is too large for an answer
    let large = json!({ "messages": [format!("0x{}", "61".repeat(30_000))] }).to_string();
    let asked = request(&network, opened(action), large.clone().into_bytes().into(), &caller)?;
    let answer = network.ask(0, &asked).await?;
    ensure!(answer.status == 200, "{}", answer.body);
    ensure!(answer.json::<Value>()?["receipt"].is_null(), "it comes with the answer");

    let params = folder.join("large.json");
    std::fs::write(&params, large)?;
    let file = folder.join("fetched.json");
    let output = sign(&network, &network.nodes[0].api, action, &params, &file)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let signed = document(&output)?;
    let receipt = Receipt::from_json(&std::fs::read(&file)?)?;
    let checked = network.trust().await?.check(&receipt)?;
    ensure!(json!(checked.request) == signed["request"], "it is another's: {signed:#}");
    ensure!(json!(receipt.signatures[0]) == signed["signatures"][0]["signature"], "{signed:#}");

    // without a receipt the signature is there all the same, and whoever waits for the file is told
    let node = without_receipts(&network.nodes[0].api).await?;
    let file = folder.join("missing.json");
    let output = sign(&network, &node, action, &params, &file)?;
    ensure!(output.status.code() == Some(7), "{}", output.status);
    let signed = document(&output)?;
    ensure!(signed["signatures"][0]["signature"].is_string(), "{signed:#}");
    let request = signed["request"].as_str().context("a digest")?;
    let said = String::from_utf8(output.stderr)?;
    says(&said, &["it is signed, and there is no receipt", &format!("countersign receipt get {request}")])?;
    ensure!(!file.exists(), "a file without a receipt");
    network.no_panic()?;
    network.stop()
}
