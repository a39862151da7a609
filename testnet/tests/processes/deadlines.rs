//! Members that answer too late for whoever is asked.

use std::time::Duration;

use anyhow::{Result, ensure};
use countersign_testnet::delay::Delays;
use countersign_types::{Decision, FailureKind};

use crate::support::made;

const NODES: usize = 3;
const THRESHOLD: usize = 2;
/// How long what the members send is under way: a session of two rounds takes four times that.
const ONE_WAY: Duration = Duration::from_secs(1);
/// Its deadline is a second before that of the interface: long after the first round has ended, and before the second can.
const DEADLINE_MS: u64 = 4_700;

#[tokio::test(flavor = "multi_thread")]
async fn members_that_sign_too_late_are_a_deadline_and_may_be_asked_again() -> Result<()> {
    let mut network = made(NODES as u16, THRESHOLD as u16)?;
    let delays = Delays::between(&network, Duration::ZERO).await?;
    let mut config = network.nodes[0].config()?;
    config.api.deadline_ms = DEADLINE_MS;
    network.nodes[0].write_config(&config)?;
    network.start_nodes()?;
    network.wait_ready().await?;
    let lock = network.time_lock().await?;
    let request = network.open_request(lock)?;

    let distance = |one_way| (0..NODES).for_each(|node| delays.set(node, one_way));
    distance(ONE_WAY);
    let problem = network.refused(0, &request, FailureKind::Deadline).await?;
    ensure!(problem.detail.contains("the deadline passed"), "{problem:?}");
    // too few that answer would be another problem
    let allow = problem.nodes.iter().filter(|said| said.decision == Decision::Allow).count();
    ensure!(allow >= THRESHOLD, "{problem:?}");

    distance(Duration::ZERO);
    network.signed(0, &request).await?;
    network.no_panic()?;
    network.stop()
}
