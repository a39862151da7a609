//! What a test network is made of: chosen once, kept in its folder.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use countersign_types::{Address, MAX_MEMBERS};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, Serialize};

/// The dev chain's id.
pub const CHAIN_ID: u64 = 31337;
pub(crate) const FILE: &str = "settings.json";

/// Where ports are drawn from: not those that the system gives to whoever connects, else a node that is started again finds its own
/// taken by somebody's connection.
const PORTS: RangeInclusive<u16> = 16_384..=32_767;
/// How often to draw before there is none.
const MAX_DRAWS: usize = 10_000;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many nodes.
    pub nodes: u16,
    /// How many of them sign.
    pub threshold: u16,
    /// Where everything lies.
    pub folder: PathBuf,
    /// The `countersign` program.
    pub program: PathBuf,
}

impl Plan {
    /// Checks that the plan makes a committee.
    pub fn check(&self) -> Result<()> {
        let nodes = self.nodes;
        ensure!(
            (2..=MAX_MEMBERS).contains(&usize::from(nodes)),
            "a test network has 2 to {MAX_MEMBERS} nodes, got --nodes {nodes}"
        );
        let least = nodes / 2 + 1;
        ensure!(
            (least..=nodes).contains(&self.threshold),
            "{nodes} nodes need a threshold of {least} to {nodes}, got {}: give --threshold {least}, or leave it out",
            self.threshold
        );
        Ok(())
    }
}

/// What was chosen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many of the nodes sign.
    pub threshold: u16,
    /// The dev chain's port.
    pub chain_port: u16,
    /// The port of the service that approves requests.
    pub approvals_port: u16,
    /// One for each node.
    pub nodes: Vec<Ports>,
    /// The token, once it is deployed.
    pub token: Option<Address>,
}

/// The ports of one node, all on loopback.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The HTTP interface.
    pub api: u16,
    /// Other members, QUIC and TCP.
    pub peers: u16,
    /// The price service, as this node sees it.
    pub prices: u16,
}

/// A port that is free on loopback, for TCP and for UDP; its TCP side is held.
fn free_port() -> Result<(u16, TcpListener)> {
    for _ in 0..MAX_DRAWS {
        let port = PORTS.start() + (OsRng.next_u32() % PORTS.len() as u32) as u16;
        let address = (Ipv4Addr::LOCALHOST, port);
        if let (Ok(listener), Ok(_)) = (TcpListener::bind(address), UdpSocket::bind(address)) {
            return Ok((port, listener));
        }
    }
    bail!("no free port from {} to {}: what else listens on this machine?", PORTS.start(), PORTS.end())
}

impl Settings {
    /// Draws free ports for a plan.
    pub fn choose(plan: &Plan) -> Result<Self> {
        // kept until all are drawn, so that none is drawn twice
        let mut held = Vec::new();
        let mut draw = || {
            let (port, listener) = free_port()?;
            held.push(listener);
            anyhow::Ok(port)
        };
        let (chain_port, approvals_port) = (draw()?, draw()?);
        let nodes = (0..plan.nodes)
            .map(|_| Ok(Ports { api: draw()?, peers: draw()?, prices: draw()? }))
            .collect::<Result<_>>()?;
        Ok(Self { threshold: plan.threshold, chain_port, approvals_port, nodes, token: None })
    }

    /// Reads what was chosen before; none if nothing was.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let settings = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged, or of another version: remove the network with `testnet/down --purge`",
                path.display()
            )
        })?;
        Ok(Some(settings))
    }

    /// Keeps what was chosen.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Checks that a network that exists is the one that is asked for.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        ensure!(
            self.nodes.len() == usize::from(plan.nodes) && self.threshold == plan.threshold,
            "{} holds a network of {} nodes with threshold {}: ask for that, or remove it with `testnet/down --purge`",
            plan.folder.display(),
            self.nodes.len(),
            self.threshold
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_distinct_and_none_that_linux_gives_to_a_connection_unless_it_is_told_to() {
        let plan = Plan { nodes: 9, threshold: 5, folder: PathBuf::new(), program: PathBuf::new() };
        let chosen = Settings::choose(&plan).expect("there are free ports");
        let of_nodes = chosen.nodes.iter().flat_map(|ports| [ports.api, ports.peers, ports.prices]);
        let all: Vec<u16> = of_nodes.chain([chosen.chain_port, chosen.approvals_port]).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 9 * 3 + 2, "{all:?}");
        assert!(all.iter().all(|port| PORTS.contains(port)), "{all:?}");
    }
}
