//! Key generation among processes that are killed.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use countersign_types::RootKeys;
use tokio::time::{Instant, sleep};

use crate::support::{Running, made};

/// What a node says in its log when it gets somewhere.
const MILESTONES: [&str; 4] = ["node started", "member connected", "pending", "root keys active"];
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a node's log has a line.
async fn logged(network: &mut Running, node: usize, text: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while !network.nodes[node].log().contains(text) {
        if let Some(process) = network.nodes[node].process.as_mut() {
            process.check()?;
        }
        ensure!(Instant::now() < until, "node {} never says {text:?}", node + 1);
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Every node's file of root keys: all the same, and signed by all members.
pub(crate) fn root_keys(network: &Running) -> Result<RootKeys> {
    let mut found: Vec<RootKeys> = Vec::new();
    for node in &network.nodes {
        found.push(serde_json::from_str(&fs::read_to_string(node.folder.join("data/root-keys.json"))?)?);
    }
    ensure!(found.windows(2).all(|pair| pair[0] == pair[1]), "the nodes have different root keys");
    found[0].verify(network.genesis.network_id(), &network.genesis.committee()?)?;
    Ok(found.swap_remove(0))
}

/// The network works, with root keys that a further restart of all does not change.
async fn is_whole(network: &mut Running) -> Result<()> {
    network.wait_ready().await?;
    let keys = root_keys(network)?;
    let lock = network.time_lock().await?;
    for node in 0..network.nodes.len() {
        network.signed(node, &network.open_request(lock)?).await?;
    }
    network.stop()?;
    network.start_nodes()?;
    network.wait_ready().await?;
    ensure!(root_keys(network)? == keys, "a restart changed the root keys");
    network.signed(0, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_at_a_milestone_leaves_no_split() -> Result<()> {
    // the member that starts attempts, which is the first, and one that joins them
    for (milestone, node) in MILESTONES.into_iter().zip([0, 1, 0, 1]) {
        let mut network = made(3, 2)?;
        network.start_nodes()?;
        logged(&mut network, node, milestone).await?;
        network.nodes[node].kill()?;
        network.nodes[node].start()?;
        is_whole(&mut network).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_again_and_again_leaves_no_split() -> Result<()> {
    let mut network = made(3, 2)?;
    network.start_nodes()?;
    // each life is a little longer than the one before, so that the kills fall everywhere
    for life in 0..16u64 {
        let node = usize::try_from(life)? % 3;
        sleep(Duration::from_millis(40 * life)).await;
        network.nodes[node].kill()?;
        network.nodes[node].start()?;
    }
    is_whole(&mut network).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_killed_once_shares_are_pending_leave_no_split() -> Result<()> {
    for milestone in ["pending", "root keys active"] {
        let mut network = made(5, 3)?;
        network.start_nodes()?;
        logged(&mut network, 2, milestone).await?;
        for node in &mut network.nodes {
            node.kill()?;
        }
        network.start_nodes()?;
        is_whole(&mut network).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_made_while_a_member_is_missing() -> Result<()> {
    let mut network = made(3, 2)?;
    network.nodes[0].start()?;
    network.nodes[1].start()?;
    logged(&mut network, 0, "member connected").await?;
    let ready = network.rpc.get(&format!("{}/readyz", network.nodes[0].api)).await?;
    ensure!(ready.status == 503, "status {}", ready.status);
    ensure!(ready.body.contains("key generation"), "{}", ready.body);
    let alive = network.rpc.get(&format!("{}/healthz", network.nodes[0].api)).await?;
    ensure!(alive.status == 200, "status {}", alive.status);
    ensure!(!network.nodes[0].folder.join("data/root-keys.json").exists());
    network.nodes[2].start()?;
    is_whole(&mut network).await
}
