//! Nodes that are told to end while somebody waits for their answer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use countersign_testnet::{
    demonstrations::verify_with,
    outside::PRICES,
    rpc::Answer,
    wire::{Event, Tail, Way},
};
use countersign_types::{FailureKind, SignedRequest};
use rustix::process::Signal;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    outside::{World, ask_for, priced},
    support::{Running, problem, says, without_chain},
};

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Longer than a node needs to say that it knows nothing of a request, and shorter than it waits for what a member says.
const KNOWN: Duration = Duration::from_millis(500);
/// The node that is asked, and told to end.
const ASKED: usize = 0;
/// How long the action's read takes: longer than a node needs to hear of its end, however busy the machine, and shorter than it lets
/// sessions go on.
const READ: Duration = Duration::from_secs(4);

const SLOW: &str = r#"
import { context, http, median, sign } from "countersign";
export default function run() {
  const url = "https://prices.test/price";
  const { fields } = http.fetch(url, { fields: { "/price": median({ bps: 50 }) }, timeoutMs: 10000 });
  return { sign: sign.bytes(context.params), response: fields["/price"] };
}
"#;

/// Asks a node, beside what the test does meanwhile.
fn ask(network: &Running, request: &SignedRequest) -> JoinHandle<Result<Answer>> {
    let (rpc, api, request) = (network.rpc.clone(), network.nodes[ASKED].api.clone(), request.clone());
    tokio::spawn(async move { rpc.submit(&api, &request).await })
}

/// Tells the node to end, once, and waits until it says so.
async fn tell_to_end(network: &Running) -> Result<()> {
    network.nodes[ASKED].signal(Signal::TERM)?;
    let url = format!("{}/readyz", network.nodes[ASKED].api);
    loop {
        let answer = network.rpc.get(&url).await.context("it does not answer any more")?;
        if answer.body.contains("shutting down") {
            return problem(&answer, FailureKind::NotReady).map(drop);
        }
        sleep(POLL).await;
    }
}

/// Waits until the node has ended, by itself and with success.
fn ends(network: &mut Running) -> Result<()> {
    let mut process = network.nodes[ASKED].process.take().context("it was started")?;
    let status = process.wait(PATIENCE)?;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_end_first_answers_whoever_waits() -> Result<()> {
    let (mut network, world) = World::start(3, 2).await?;
    let action = network.publish_script("slow", SLOW, &[PRICES], &[]).await?;
    let trust = network.trust().await?;
    world.show_all(&priced("100").after(READ));
    let request = ask_for(&network, action)?;
    let mut tail = Tail::new(&network.nodes[ASKED].wire_log())?;
    let asked = ask(&network, &request);
    let proposed = |way, event: &Event| way == Way::Sent && matches!(event, Event::Propose { .. });
    ensure!(tail.wait(PATIENCE, proposed).await?, "no session begins");

    tell_to_end(&network).await?;
    ensure!(!asked.is_finished(), "it was answered before the node was told to end");
    let late = network.refused(ASKED, &ask_for(&network, action)?, FailureKind::NotReady).await?;
    ensure!(late.detail.contains("shutting down"), "{late:?}");

    let answer = asked.await??;
    ensure!(answer.status == 200, "status {}: {}", answer.status, answer.body);
    verify_with(&trust, &request, &answer.signed()?)?;
    ends(&mut network)?;
    network.no_panic()?;
    network.stop()
}

/// A request for an action that is not here waits for what the other members say, before any session begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_end_still_waits_for_what_a_request_needs() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let request = network.open_request([7; 32].into())?;
    for node in 1..3 {
        network.nodes[node].signal(Signal::STOP)?;
    }
    let asked = ask(&network, &request);
    let url = format!("{}/v1/requests/{}", network.nodes[ASKED].api, request.request.digest());
    // once the request runs, whoever looks waits too
    while timeout(KNOWN, network.rpc.get(&url)).await.is_ok() {
        ensure!(!asked.is_finished(), "it was answered by members that stand still");
        sleep(POLL).await;
    }
    tell_to_end(&network).await?;
    let told = problem(&asked.await??, FailureKind::Unavailable)?;
    says(&told.detail, &["no action", "2 of 2 members did not answer"])?;
    ends(&mut network)?;
    for node in 1..3 {
        network.nodes[node].signal(Signal::CONT)?;
    }
    network.no_panic()?;
    network.stop()
}
