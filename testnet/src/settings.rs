//! What a test network is made of: chosen once, kept in its folder.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use countersign_types::{Address, MAX_MEMBERS};
use serde::{Deserialize, Serialize};

/// The dev chain's id.
pub const CHAIN_ID: u64 = 31337;
pub(crate) const FILE: &str = "settings.json";

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

impl Settings {
    /// Draws free ports for a plan.
    pub fn choose(plan: &Plan) -> Result<Self> {
        let mut held = Vec::new();
        let mut tcp = || -> Result<u16> {
            let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
            let port = listener.local_addr()?.port();
            // kept until all are drawn, so that none is drawn twice
            held.push(listener);
            Ok(port)
        };
        let (chain_port, approvals_port) = (tcp()?, tcp()?);
        let nodes = (0..plan.nodes)
            .map(|_| {
                let api = tcp()?;
                let peers = loop {
                    let port = tcp()?;
                    if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
                        break port;
                    }
                };
                Ok(Ports { api, peers, prices: tcp()? })
            })
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
