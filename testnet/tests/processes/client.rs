//! The client against real nodes: one that is killed while it works, a slow one, one that is not ready, and servers that lie.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use countersign_client::{Client, ClientConfig, LocalSigner, NodeError};
use countersign_receipt::Receipt;
use countersign_testnet::{
    delay::Delays,
    demonstrations::request as request_of,
    network::now_ms,
    outside::{Page, Service},
};
use countersign_types::{
    Failure, FailureKind, SignedRequest,
    api::{Problem, SignResponse},
};
use serde_json::Value;
use tokio::time::sleep;

use crate::support::{Running, made, message, opened, without_chain};

const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
/// One way, for a node that is to be slow: a signature that it coordinates takes a second at least.
const SLOW: Duration = Duration::from_millis(500);
/// One way, for a node that is to be cut off.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A client of these addresses, in this order.
fn client(network: &Running, nodes: &[&str]) -> Result<Client> {
    let nodes = nodes.iter().map(|node| node.parse()).collect::<Result<_, _>>()?;
    let genesis = network.genesis.clone();
    Ok(Client::new(ClientConfig { nodes, genesis, timeout: TIMEOUT })?)
}

fn of_all(network: &Running) -> Result<Client> {
    client(network, &network.nodes.iter().map(|node| node.api.as_str()).collect::<Vec<_>>())
}

fn is(url: &countersign_client::Url, node: &str) -> bool {
    url.as_str().trim_end_matches('/') == node
}

/// A network whose nodes reach each other through proxies, without delay yet.
async fn through_proxies() -> Result<(Running, Delays)> {
    let mut network = made(3, 2)?;
    let delays = Delays::between(&network, Duration::ZERO).await?;
    network.start_nodes()?;
    network.wait_ready().await?;
    Ok((network, delays))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_while_it_works_is_passed_over() -> Result<()> {
    let (mut network, delays) = through_proxies().await?;
    let lock = network.time_lock().await?;
    delays.set(0, SLOW);
    let client = of_all(&network)?;
    let (request, first) = (network.open_request(lock)?, network.nodes[0].api.clone());
    let asking = tokio::spawn(async move { client.sign(request).await });
    while network.rpc.metric(&first, "countersign_sessions_open").await? == 0.0 {
        ensure!(!asking.is_finished(), "the first node was not asked");
        sleep(POLL).await;
    }
    network.nodes[0].kill()?;
    let signed = asking.await??;
    ensure!(!is(&signed.node, &first), "a dead node signed");
    ensure!(signed.passed_over.iter().any(|passed| is(&passed.node, &first)), "{:?}", signed.passed_over);
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_is_left_for_quicker_ones_once_it_is_known_to_be_slow() -> Result<()> {
    let (mut network, delays) = through_proxies().await?;
    let lock = network.time_lock().await?;
    delays.set(0, SLOW);
    let (client, slow) = (of_all(&network)?, network.nodes[0].api.clone());
    // the first of the configuration, of which nothing is known: it answers late, or another one before it
    let first = client.sign(network.open_request(lock)?).await?;
    let was_asked = is(&first.node, &slow) || first.passed_over.iter().any(|passed| is(&passed.node, &slow));
    ensure!(was_asked, "the slow node was not tried: {first:?}");
    let mut by_slow = 0;
    for _ in 0..6 {
        let signed = client.sign(network.open_request(lock)?).await?;
        by_slow += usize::from(is(&signed.node, &slow));
    }
    ensure!(by_slow <= 1, "the slow node answered {by_slow} of six, when it was known to be slow");
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_ready_is_not_the_end_of_it() -> Result<()> {
    let (mut network, delays) = through_proxies().await?;
    let lock = network.time_lock().await?;
    delays.set(0, NEVER);
    let (client, alone) = (of_all(&network)?, network.nodes[0].api.clone());
    while network.rpc.get(&format!("{alone}/readyz")).await?.status == 200 {
        sleep(10 * POLL).await;
    }
    // before anything is known of it, and after
    let signed = client.sign(network.open_request(lock)?).await?;
    ensure!(!is(&signed.node, &alone), "a node signed by itself");
    while !client.health()[0].1.not_ready && client.health()[0].1.failures == 0 {
        sleep(POLL).await;
    }
    let signed = client.sign(network.open_request(lock)?).await?;
    ensure!(signed.passed_over.is_empty(), "it was asked again: {:?}", signed.passed_over);
    network.stop()
}

/// A server that calls itself a node and answers one kind of call in its own way.
async fn liar(network: &Running, method: &'static str, path: &'static str, lie: Page) -> Result<Service> {
    let view = network.rpc.get(&format!("{}/v1/network", network.nodes[0].api)).await?.body;
    Service::start(move |asked, at| {
        if asked == method && at.starts_with(path) {
            lie.clone()
        } else if at == "/v1/network" {
            Page { body: view.clone().into_bytes(), ..Page::default() }
        } else {
            Page::default()
        }
    })
    .await
}

fn problem(kind: FailureKind) -> Page {
    let problem = Problem::from(Failure::new(kind, "a lie"));
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    Page { status: Some(kind.status()), body, ..Page::default() }
}

fn with_wrong_signature(answer: &SignResponse) -> Result<SignResponse> {
    let mut answer = answer.clone();
    let signature = &mut answer.signatures[0].signature.0;
    let mut bytes = signature.to_vec();
    *bytes.last_mut().context("a signature")? ^= 1;
    *signature = bytes.into();
    Ok(answer)
}

/// Has a liar asked first, then an honest node.
async fn past(network: &Running, lie: Page, request: &SignedRequest) -> Result<NodeError> {
    let liar = liar(network, "POST", "/v1/requests", lie).await?;
    let address = format!("http://{}", liar.address);
    let client = client(network, &[&address, &network.nodes[0].api])?;
    let mut signed = client.sign(request.clone()).await?;
    ensure!(is(&signed.node, &network.nodes[0].api), "{}", signed.node);
    let passed = signed.passed_over.pop().context("the liar was not asked")?;
    ensure!(is(&passed.node, &address), "{passed}");
    Ok(passed.error)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_does_not_keep_a_signature_from_its_caller() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let (request, other) = (network.open_request(lock)?, network.open_request(lock)?);
    let (answer, another) = (network.signed(1, &request).await?, network.signed(1, &other).await?);
    let page = |answer: &SignResponse| Page::json(&serde_json::to_value(answer).unwrap_or_default());
    let no_votes = SignResponse { votes: Vec::new(), ..answer.clone() };
    for (what, lie) in [
        ("a wrong signature", page(&with_wrong_signature(&answer)?)),
        ("another request's answer", page(&another)),
        ("no votes", page(&no_votes)),
        ("a refusal that nobody stands behind", problem(FailureKind::Refused)),
    ] {
        let error = past(&network, lie, &request).await.context(what)?;
        ensure!(error.is_lie(), "{what} passes as {error}");
    }
    for kind in [FailureKind::Unauthorised, FailureKind::Invalid, FailureKind::Expired] {
        let error = past(&network, problem(kind), &request).await.context(kind.name())?;
        ensure!(error.failure().is_some_and(|failure| failure.kind == kind), "{error}");
    }
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_does_not_keep_a_receipt_from_its_caller() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let caller = LocalSigner::random();
    let request = request_of(&network, opened(lock), message(), &caller)?;
    let digest = request.request.digest();
    network.signed(0, &request).await?;
    let other = network.ask(0, &network.open_request(lock)?).await?;
    let others_receipt = other.json::<Value>()?["receipt"].clone();
    Receipt::from_json(others_receipt.to_string().as_bytes())?;
    for (what, lie) in [
        ("unauthorised", problem(FailureKind::Unauthorised)),
        ("not found", problem(FailureKind::NotFound)),
        ("invalid", problem(FailureKind::Invalid)),
        ("another request's receipt", Page::json(&others_receipt)),
        ("no receipt", Page::json(&Value::Null)),
    ] {
        let liar = liar(&network, "GET", "/v1/receipts/", lie).await?;
        let address = format!("http://{}", liar.address);
        let mut nodes = vec![address.as_str()];
        nodes.extend(network.nodes.iter().map(|node| node.api.as_str()));
        let client = client(&network, &nodes)?;
        let receipt = client.receipt(digest, Some(&caller), now_ms() + 60_000).await.context(what)?;
        ensure!(network.trust().await?.check(&receipt)?.request == digest, "{what}: it is another's");
    }
    network.no_panic()?;
    network.stop()
}
