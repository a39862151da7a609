//! Data from outside that differ from node to node: agreed, or explained; and what cannot be used.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use countersign_client::LocalSigner;
use countersign_testnet::{
    create::open_name,
    demonstrations::{key_spec, request, shares},
    outside::{PRICES, Page, Service},
};
use countersign_types::{ActionId, Decision, FailureKind, NodeDecision, SignedRequest, api::Problem};
use serde_json::json;

use crate::support::{Running, made, says};

const MEDIAN: &str = r#"
import { context, http, median, sign } from "countersign";
export default function run() {
  const url = "https://prices.test/price";
  const { fields } = http.fetch(url, { fields: { "/price": median({ bps: 50 }) }, timeoutMs: 700, maxBody: 4096 });
  return { sign: sign.bytes(context.params), response: fields["/price"] };
}
"#;

const IDENTICAL: &str = r#"
import { context, http, sign } from "countersign";
export default function run() {
  const page = http.fetch("https://prices.test/terms");
  return { sign: sign.bytes(context.params), response: page.text() };
}
"#;

/// What happens next depends on the price that was agreed: a signature needs a second read.
const BRANCHING: &str = r#"
import { context, decimal, http, median, mode, refuse, sign } from "countersign";
export default function run() {
  const { fields } = http.fetch("https://prices.test/price", { fields: { "/price": median({ bps: 500 }) } });
  if (decimal.lt(fields["/price"], "100")) refuse(`the price is ${fields["/price"]}, at least 100 is needed`);
  const second = http.fetch("https://prices.test/again", { fields: { "/market": mode } });
  return { sign: sign.bytes(context.params), response: second.fields["/market"] };
}
"#;

/// What each node finds at `prices.test`.
pub(crate) struct World {
    pages: Vec<Arc<Mutex<Page>>>,
    services: Vec<Option<Service>>,
}

impl World {
    /// A network without a chain, each of whose nodes sees a page of its own.
    pub(crate) async fn start(nodes: u16, threshold: u16) -> Result<(Running, Self)> {
        let mut network = made(nodes, threshold)?;
        let mut world = Self { pages: Vec::new(), services: Vec::new() };
        for node in &network.nodes {
            let page = Arc::new(Mutex::new(Page::default()));
            let shown = Arc::clone(&page);
            let show = move |_: &str, _: &str| shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let service = Service::start(show).await?;
            let mut config = node.config()?;
            config.egress.open = vec![open_name(PRICES, service.address)];
            node.write_config(&config)?;
            world.pages.push(page);
            world.services.push(Some(service));
        }
        network.start_nodes()?;
        network.wait_ready().await?;
        Ok((network, world))
    }

    fn show(&self, node: usize, page: Page) {
        *self.pages[node].lock().unwrap_or_else(PoisonError::into_inner) = page;
    }

    pub(crate) fn show_all(&self, page: &Page) {
        (0..self.pages.len()).for_each(|node| self.show(node, page.clone()));
    }

    fn show_prices(&self, prices: &[&str]) {
        for (node, price) in prices.iter().enumerate() {
            self.show(node, priced(price));
        }
    }
}

pub(crate) fn priced(price: &str) -> Page {
    Page::json(&json!({ "price": price, "market": "open" }))
}

fn plain(body: impl Into<Vec<u8>>) -> Page {
    Page { body: body.into(), ..Page::default() }
}

pub(crate) fn ask_for(network: &Running, action: ActionId) -> Result<SignedRequest> {
    request(network, key_spec(action, &json!({})), b"hello".to_vec().into(), &LocalSigner::random())
}

/// Asks one node, which must sign, and returns what the action told the caller.
async fn told(network: &Running, node: usize, action: ActionId) -> Result<(String, Vec<NodeDecision>)> {
    let answer = network.signed(node, &ask_for(network, action)?).await?;
    Ok((String::from_utf8(answer.response.to_vec())?, answer.nodes))
}

/// Asks one node for what must fail, and checks that nobody made a share for it.
async fn fails(network: &Running, node: usize, action: ActionId, kind: FailureKind) -> Result<Problem> {
    let before = shares(network).await?;
    let problem = network.refused(node, &ask_for(network, action)?, kind).await?;
    ensure!(shares(network).await? == before, "a node made a share");
    Ok(problem)
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_agreed_within_the_tolerance_and_explained_beyond() -> Result<()> {
    let (mut network, world) = World::start(5, 3).await?;
    let action = network.publish_script("median", MEDIAN, &[PRICES], &[]).await?;

    let near = ["100.00", "100.1", "1002e-1", "100.30", "100.4"];
    world.show_prices(&near);
    for node in 0..5 {
        let (price, _) = told(&network, node, action).await?;
        ensure!(["100", "100.1", "100.2", "100.3", "100.4"].contains(&price.as_str()), "{price}");
    }

    // one node is far off: the others sign, and its value moves nothing beyond their tolerance
    for absurd in ["1000000", "-5", "0"] {
        world.show(4, priced(absurd));
        for node in 0..5 {
            let (price, _) = told(&network, node, action).await?;
            ensure!(["100", "100.1", "100.2", "100.3"].contains(&price.as_str()), "{price}");
        }
    }

    // all are far apart: no three can sign, and everybody learns who saw what
    let far = ["100", "110", "121", "133.1", "146.41"];
    world.show_prices(&far);
    let problem = fails(&network, 1, action, FailureKind::Disagreement).await?;
    let disagreement = problem.disagreement.as_ref().expect("explained");
    ensure!(disagreement.position == 0 && disagreement.pointer.as_deref() == Some("/price"), "{problem:?}");
    ensure!(disagreement.what.as_deref() == Some("GET https://prices.test/price"), "{problem:?}");
    says(&disagreement.rule, &["median", "50"])?;
    for (node, price) in far.iter().enumerate() {
        let saw = disagreement.saw.iter().find(|saw| saw.peer_id == network.peer_id(node));
        ensure!(saw.and_then(|saw| saw.value.as_deref()) == Some(*price), "node {node}: {problem:?}");
    }
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_must_be_identical_and_are_not_end_in_a_disagreement() -> Result<()> {
    let (mut network, world) = World::start(3, 2).await?;
    let action = network.publish_script("identical", IDENTICAL, &[PRICES], &[]).await?;
    world.show_all(&plain("the same"));
    let (text, _) = told(&network, 0, action).await?;
    ensure!(text == "the same");

    for node in 0..3 {
        world.show(node, plain(format!("version {node}")));
    }
    let problem = fails(&network, 2, action, FailureKind::Disagreement).await?;
    let disagreement = problem.disagreement.as_ref().expect("explained");
    ensure!(disagreement.rule == "identical" && disagreement.pointer.is_none(), "{problem:?}");
    ensure!(disagreement.what.as_deref() == Some("GET https://prices.test/terms"), "{problem:?}");
    let digests: std::collections::BTreeSet<_> = disagreement.saw.iter().map(|saw| &saw.value).collect();
    ensure!(digests.len() == 3, "{problem:?}");

    // two of three are enough
    world.show(1, plain("version 0"));
    told(&network, 2, action).await?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_follows_from_the_agreed_values() -> Result<()> {
    let (mut network, world) = World::start(5, 3).await?;
    let action = network.publish_script("branching", BRANCHING, &[PRICES], &[]).await?;
    // two nodes see less than what is needed, and make no second read
    world.show_prices(&["99", "99.5", "101", "102", "103"]);
    for node in 0..5 {
        let (market, nodes) = told(&network, node, action).await?;
        ensure!(market == "open");
        let signed = nodes.iter().filter(|said| said.decision == Decision::Allow).count();
        ensure!(signed == 3, "{nodes:?}");
    }
    // three do
    world.show_prices(&["99", "99.5", "99.9", "102", "103"]);
    let problem = fails(&network, 4, action, FailureKind::Refused).await?;
    says(&format!("{problem:?}"), &["the price is 99.5, at least 100 is needed"])?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_nodes_endpoint_does_not_stop_the_others() -> Result<()> {
    let (mut network, mut world) = World::start(4, 3).await?;
    let action = network.publish_script("median", MEDIAN, &[PRICES], &[]).await?;
    world.show_all(&priced("100"));

    let late = priced("100").after(Duration::from_secs(20));
    world.show(3, late.clone());
    for node in 0..4 {
        ensure!(told(&network, node, action).await?.0 == "100");
    }
    // with two of four there are too few, and each says why, at its limit
    world.show(2, late);
    let problem = fails(&network, 0, action, FailureKind::Unavailable).await?;
    for node in [2, 3] {
        let said = network.said(&problem.nodes, node).expect("it was asked");
        ensure!(said.decision == Decision::Abstain, "{said:?}");
        says(said.reason.as_deref().unwrap_or_default(), &["prices.test", "700 ms"])?;
    }
    world.show(2, priced("100"));

    world.services[3] = None;
    for node in 0..4 {
        ensure!(told(&network, node, action).await?.0 == "100");
    }
    // a node that coordinates asks itself, so its own word is among the answers
    let (_, nodes) = told(&network, 3, action).await?;
    let said = network.said(&nodes, 3).expect("it asked itself");
    ensure!(said.decision == Decision::Abstain, "{said:?}");
    says(said.reason.as_deref().unwrap_or_default(), &["prices.test", "connect"])?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_explained() -> Result<()> {
    let (mut network, world) = World::start(3, 2).await?;
    let action = network.publish_script("median", MEDIAN, &[PRICES], &[]).await?;
    let gzip = |body: Vec<u8>| Page { headers: vec![("content-encoding", "gzip".into())], ..plain(body) };
    let cases: Vec<(Page, &[&str])> = vec![
        (Page { status: Some(404), ..priced("1") }, &["404"]),
        (plain("<html>"), &["not JSON"]),
        (plain(vec![b'"', 0xff, b'"']), &["not UTF-8"]),
        (Page::json(&json!({ "prize": 1 })), &["/price"]),
        (Page::json(&json!({ "price": [1] })), &["/price", "list"]),
        (Page::json(&json!({ "price": "cheap" })), &["/price", "number"]),
        (Page::json(&json!({ "price": "1e60" })), &["/price", "38 digits"]),
        (plain("x".repeat(10_000)), &["4096"]),
        (gzip(bomb()), &["4096"]),
        (gzip(b"no gzip".to_vec()), &["prices.test"]),
        (
            Page {
                status: Some(302),
                headers: vec![("location", "https://127.0.0.1/".into())],
                ..Page::default()
            },
            &["address"],
        ),
        (
            Page {
                status: Some(302),
                headers: vec![("location", "https://elsewhere.example/".into())],
                ..Page::default()
            },
            &["elsewhere.example", "manifest"],
        ),
    ];
    for (page, words) in cases {
        world.show_all(&page);
        let problem = fails(&network, 0, action, FailureKind::UnusableSource).await?;
        for said in &problem.nodes {
            ensure!(said.decision == Decision::Abstain, "{said:?}");
            says(said.reason.as_deref().unwrap_or_default(), words)?;
        }
    }
    // and when it is well again, so is the key
    world.show_all(&priced("7"));
    ensure!(told(&network, 0, action).await?.0 == "7");
    network.no_panic()?;
    network.stop()
}

/// A few kilobytes that are ten megabytes once decompressed.
fn bomb() -> Vec<u8> {
    use std::io::Write;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..160 {
        encoder.write_all(&[0; 64 << 10]).expect("memory");
    }
    encoder.finish().expect("memory")
}
