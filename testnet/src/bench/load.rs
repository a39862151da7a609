//! Requests in numbers, and what is measured of them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use countersign_testnet::{Network, process::Process};
use countersign_types::SignedRequest;
use tokio::task::JoinSet;

/// In ascending order, in milliseconds; at least one.
pub(super) struct Latencies(Vec<f64>);

impl Latencies {
    /// Asks the first node for one signature after the other.
    pub(super) async fn measure(network: &Network, requests: &[SignedRequest]) -> Result<Self> {
        let mut taken = Vec::new();
        for request in requests {
            let started = Instant::now();
            sign(network, 0, request).await?;
            taken.push(started.elapsed().as_secs_f64() * 1e3);
        }
        taken.sort_by(f64::total_cmp);
        Ok(Self(taken))
    }

    /// The one at this place between 0, the fastest, and 1.
    pub(super) fn at(&self, place: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * place) as usize]
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|place| self.at(place));
        write!(f, "p50 {p50:.2} ms   p90 {p90:.2} ms   p99 {p99:.2} ms")
    }
}

pub(super) async fn sign(network: &Network, node: usize, request: &SignedRequest) -> Result<()> {
    let answer = network.rpc.submit(&network.nodes[node].api, request).await?;
    ensure!(answer.status == 200, "not signed: {}", answer.body);
    Ok(())
}

/// Signatures per second, with several in flight, spread over all nodes.
pub(super) async fn throughput(
    network: &Network,
    requests: Vec<SignedRequest>,
    in_flight: usize,
) -> Result<f64> {
    let total = requests.len();
    let queue = Arc::new(std::sync::Mutex::new(requests));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..in_flight {
        let (queue, rpc) = (Arc::clone(&queue), network.rpc.clone());
        let api = network.nodes[worker % network.nodes.len()].api.clone();
        workers.spawn(async move {
            loop {
                let next = queue.lock().map(|mut queue| queue.pop()).unwrap_or_default();
                let Some(request) = next else { return Ok(()) };
                let answer = rpc.submit(&api, &request).await?;
                ensure!(answer.status == 200, "not signed: {}", answer.body);
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

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
