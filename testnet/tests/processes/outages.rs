//! Nodes that go, and come back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use countersign_client::{Client, ClientConfig, Url};
use countersign_testnet::network::Node;
use countersign_types::{Decision, FailureKind};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{DEADLINE_S, Running, without_chain};

#[tokio::test(flavor = "multi_thread")]
async fn two_of_five_may_be_killed_and_three_may_not() -> Result<()> {
    let mut network = without_chain(5, 3).await?;
    let lock = network.time_lock().await?;
    network.signed(0, &network.open_request(lock)?).await?;

    network.nodes[1].kill()?;
    network.nodes[3].kill()?;
    for node in [0, 2, 4, 0, 2, 4] {
        network.signed(node, &network.open_request(lock)?).await?;
    }

    network.nodes[4].kill()?;
    for node in [0, 2] {
        let asked = Instant::now();
        let request = network.open_request(lock)?;
        let problem = network.refused(node, &request, FailureKind::Unavailable).await?;
        ensure!(asked.elapsed().as_secs_f64() < DEADLINE_S, "the answer came after the deadline");
        for gone in [1, 3, 4] {
            let said = network.said(&problem.nodes, gone).map(|said| said.decision);
            ensure!(
                matches!(said, Some(Decision::NoAnswer | Decision::NotConnected)),
                "node {} is not named: {problem:?}",
                gone + 1
            );
        }
    }

    let running = [0, 2].map(|node| network.nodes[node].process.as_ref().map(|process| process.record().pid));
    for node in [1, 3, 4] {
        network.nodes[node].start()?;
    }
    network.wait_ready().await?;
    for node in 0..5 {
        network.signed(node, &network.open_request(lock)?).await?;
    }
    let still = [0, 2].map(|node| network.nodes[node].process.as_ref().map(|process| process.record().pid));
    ensure!(running == still, "a node that was up was restarted");
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_of_five_may_be_killed() -> Result<()> {
    let mut network = without_chain(5, 3).await?;
    let lock = network.time_lock().await?;
    let pairs = (0..5).flat_map(|first| (first + 1..5).map(move |second| [first, second]));
    for pair in pairs {
        for node in pair {
            network.nodes[node].kill()?;
        }
        for node in (0..5).filter(|node| !pair.contains(node)) {
            let signed = network.signed(node, &network.open_request(lock)?).await;
            signed.with_context(|| format!("nodes {} and {} are gone", pair[0] + 1, pair[1] + 1))?;
        }
        for node in pair {
            network.nodes[node].start()?;
        }
        network.wait_ready().await?;
    }
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_survive_two_kills() -> Result<()> {
    let mut network = without_chain(5, 3).await?;
    let lock = network.time_lock().await?;
    let nodes = [0, 1, 2].map(|node| network.nodes[node].api.clone());
    let mut asked = JoinSet::new();
    for round in 0..60 {
        let (rpc, node) = (network.rpc.clone(), nodes[round % 3].clone());
        let request = network.open_request(lock)?;
        asked.spawn(async move { rpc.submit(&node, &request).await });
        if round == 20 {
            network.nodes[3].kill()?;
        }
        if round == 40 {
            network.nodes[4].kill()?;
        }
    }
    while let Some(answer) = asked.join_next().await {
        let answer = answer??;
        ensure!(answer.status == 200, "status {}: {}", answer.status, answer.body);
    }
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_passes_over_a_node_that_is_gone() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let client = Arc::new(Client::new(ClientConfig {
        nodes: network.nodes.iter().map(|node| node.api.parse()).collect::<Result<_, _>>()?,
        genesis: network.genesis.clone(),
        timeout: std::time::Duration::from_secs(20),
    })?);
    let first = client.sign(network.open_request(lock)?).await?;
    ensure!(first.passed_over.is_empty(), "{:?}", first.passed_over);

    // the one that the client would ask next
    let is = |node: &Node, url: &Url| url.as_str().trim_end_matches('/') == node.api;
    let gone =
        network.nodes.iter_mut().find(|node| is(node, &first.node)).context("a node of the network")?;
    gone.kill()?;
    let second = client.sign(network.open_request(lock)?).await?;
    ensure!(second.node != first.node, "a dead node signed");
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_stopped_and_started_has_its_keys() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let before = network.trust().await?.root_keys().clone();
    let first = network.signed(0, &network.open_request(lock)?).await?;

    // every node ends with success at SIGTERM, or this fails
    network.stop()?;
    network.start_nodes()?;
    network.wait_ready().await?;
    ensure!(network.trust().await?.root_keys() == &before, "the root keys are others");
    let again = network.signed(1, &network.open_request(lock)?).await?;
    ensure!(again.public_key == first.public_key, "the key is another");
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_is_small() -> Result<()> {
    let mut network = without_chain(5, 3).await?;
    let lock = network.time_lock().await?;
    for node in 0..5 {
        network.signed(node, &network.open_request(lock)?).await?;
    }
    for node in &network.nodes {
        let Some(process) = &node.process else { continue };
        let mib = process.resident_bytes()? / (1 << 20);
        ensure!(mib < 150, "node {} has {mib} MiB in memory", node.number);
    }
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_member_that_is_on_its_way() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    for node in [1, 2] {
        network.nodes[node].terminate()?;
    }
    let alone = async || {
        let info = network.rpc.network(&network.nodes[0].api).await?;
        Ok(info.members.iter().filter(|member| member.connected).count() == 1)
    };
    until("the first node is alone", alone).await?;
    // nobody comes: then that is the answer
    let problem = network.refused(0, &network.open_request(lock)?, FailureKind::Unavailable).await?;
    ensure!(problem.detail.contains("not connected"), "{}", problem.detail);

    let starts = |network: &Running| network.nodes[1].log().matches("node started").count();
    let before = starts(&network);
    network.nodes[1].start()?;
    // it is there, and the two are not connected yet, or only just
    until("the second node has started", async || Ok(starts(&network) > before)).await?;
    network.signed(0, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        ensure!(begun.elapsed().as_secs_f64() < DEADLINE_S, "it never comes about that {what}");
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
