//! What a network's processes use, and what they say of themselves.

use std::time::{Duration, Instant};

use anyhow::Result;
use countersign_testnet::{Network, process::Process};

/// The median of bare HTTP round trips to a node, in microseconds.
pub(super) async fn health_us(network: &Network) -> Result<f64> {
    let url = format!("{}/healthz", network.nodes[0].api);
    let mut times = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        network.rpc.get(&url).await?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2].as_secs_f64() * 1e6)
}

/// What processes have used of the processors, in milliseconds of one core.
#[derive(Clone, Copy)]
pub(super) struct Spent {
    pub(super) nodes: f64,
    pub(super) chain: f64,
}

impl Spent {
    /// For each of `count` signatures since then.
    pub(super) fn since(self, before: Self, count: usize) -> Self {
        let each = |now: f64, then: f64| (now - then) / count as f64;
        Self { nodes: each(self.nodes, before.nodes), chain: each(self.chain, before.chain) }
    }
}

pub(super) fn processor_ms(network: &Network) -> Result<Spent> {
    let of = |process: &Process| Ok::<_, anyhow::Error>(process.processor_time()?.as_secs_f64() * 1e3);
    let nodes = network.nodes.iter().filter_map(|node| node.process.as_ref()).map(of).sum::<Result<f64>>()?;
    let chain = network.anvil.as_ref().map(of).transpose()?.unwrap_or_default();
    Ok(Spent { nodes, chain })
}

/// How many sessions of the first node took one round, and why the others took more.
pub(super) async fn further_rounds(network: &Network) -> Result<String> {
    let metrics = network.rpc.get(&format!("{}/metrics", network.nodes[0].api)).await?.body;
    let lines = metrics.lines().filter(|line| {
        line.starts_with("countersign_sessions_signed_total{")
            || line.starts_with("countersign_further_rounds_total{")
    });
    let words = lines.filter_map(|line| {
        let (label, count) = line.rsplit_once(' ')?;
        let label = label.split_once('"')?.1.split_once('"')?.0;
        Some(format!("{label} {count}"))
    });
    Ok(words.collect::<Vec<_>>().join(", "))
}

/// The resident memory of the largest node, idle for a second, in MiB.
pub(super) fn resident_mib(network: &Network) -> Result<f64> {
    std::thread::sleep(Duration::from_secs(1));
    let mut most = 0;
    for process in network.nodes.iter().filter_map(|node| node.process.as_ref()) {
        most = most.max(process.resident_bytes()?);
    }
    Ok(most as f64 / f64::from(1 << 20))
}
