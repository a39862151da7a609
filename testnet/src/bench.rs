//! Latency and throughput of a network of its own, and their ratio to a floor of the same run.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use countersign_testnet::{Network, Plan, delay::Delays, demonstrations};
use countersign_threshold::{SigningPackage, dkg};
use countersign_types::{Bytes, Identifier, Scheme, SignedRequest};
use rand_core::OsRng;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// What to measure.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many signatures one after the other.
    #[arg(long, default_value_t = 200)]
    sequential: usize,
    /// How many signatures with several in flight.
    #[arg(long, default_value_t = 400)]
    parallel: usize,
    /// How many in flight.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// How far apart the nodes are, in milliseconds there and back.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1_000))]
    round_trip_ms: u64,
}

pub(crate) async fn run(program: &Path, arguments: &Arguments) -> Result<()> {
    ensure!(arguments.sequential >= 1 && arguments.parallel >= 1 && arguments.in_flight >= 1, "at least one");
    ensure!(arguments.sequential + arguments.parallel <= 20_000, "at most 20,000 signatures in all");
    let folder = tempfile::tempdir()?;
    let plan = Plan { nodes: 5, threshold: 3, folder: folder.path().into(), program: program.into() };
    let mut network = Network::open(plan)?;
    let distance = Duration::from_millis(arguments.round_trip_ms);
    let _delays = match arguments.round_trip_ms {
        0 => None,
        _ => Some(Delays::between(&network, distance / 2).await?),
    };
    network.start().await?;
    let stage = demonstrations::prepare(&network).await?;
    let memory = resident_mib(&network)?;
    let gate = demonstrations::key_spec(
        stage.balance_gate,
        &demonstrations::token_config(network.token()?, demonstrations::one_token()),
    );
    let make = |count: usize| -> Result<Vec<SignedRequest>> {
        let message = Bytes::from_static(b"benchmark");
        (0..count)
            .map(|_| demonstrations::request(&network, gate.clone(), message.clone(), &stage.alice))
            .collect()
    };
    // warm: connections, compiled action, derived key
    for request in make(20)? {
        sign(&network, 0, &request).await?;
    }
    let health = health_us(&network).await?;
    let cpu = cryptography_us()?;
    let mut latencies = Vec::new();
    for request in make(arguments.sequential)? {
        let started = Instant::now();
        sign(&network, 0, &request).await?;
        latencies.push(started.elapsed());
    }
    latencies.sort();
    let requests = make(arguments.parallel)?;
    let throughput = throughput(&network, requests, arguments.in_flight).await?;
    let ms = |place: f64| latencies[((latencies.len() - 1) as f64 * place) as usize].as_secs_f64() * 1e3;
    let ceiling = 2.0 * 1e6 / cpu;
    println!("3 of 5, five processes and a dev chain on this machine, action balance-gate (one chain read)");
    println!("one in flight   p50 {:.2} ms   p90 {:.2} ms   p99 {:.2} ms", ms(0.5), ms(0.9), ms(0.99));
    if arguments.round_trip_ms > 0 {
        println!(
            "distance        {} ms there and back between nodes: p50 is {:.2} of it",
            arguments.round_trip_ms,
            ms(0.5) / arguments.round_trip_ms as f64
        );
    }
    println!("{} in flight    {throughput:.0} signatures/s", arguments.in_flight);
    println!(
        "floor           bare HTTP round trip {:.2} ms; FROST alone {:.2} ms of one core",
        health / 1e3,
        cpu / 1e3
    );
    println!(
        "ceiling         {ceiling:.0} signatures/s on two cores by FROST alone; reached {:.1} %",
        100.0 * throughput / ceiling
    );
    println!("memory          {memory:.0} MiB resident in the largest node");
    network.stop()
}

async fn sign(network: &Network, node: usize, request: &SignedRequest) -> Result<()> {
    let answer = network.rpc.submit(&network.nodes[node].api, request).await?;
    ensure!(answer.status == 200, "not signed: {}", answer.body);
    Ok(())
}

async fn throughput(network: &Network, requests: Vec<SignedRequest>, in_flight: usize) -> Result<f64> {
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
async fn health_us(network: &Network) -> Result<f64> {
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

/// What three commitments, three shares and one aggregation take on one core, in microseconds.
fn cryptography_us() -> Result<f64> {
    let shares = generate(5, 3)?;
    let key = [7; 32].into();
    let derived = shares.values().take(3).map(|share| share.derive(&key)).collect::<Result<Vec<_>, _>>()?;
    let public = shares.values().next().context("a share")?.public().derive(&key)?;
    let rounds = 200u32;
    let started = Instant::now();
    for _ in 0..rounds {
        let (nonces, commitments): (Vec<_>, Vec<_>) =
            derived.iter().map(|share| share.commit(&mut OsRng)).unzip();
        let ids = derived.iter().map(|share| share.identifier());
        let package = SigningPackage::new(ids.clone().zip(commitments).collect(), vec![7; 32]);
        let signed = ids
            .zip(nonces)
            .zip(&derived)
            .map(|((id, nonces), share)| Ok((id, nonces.sign(&package, share)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        public.aggregate(&package, &signed)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds))
}

fn generate(size: u16, threshold: u16) -> Result<BTreeMap<Identifier, countersign_threshold::RootShare>> {
    let ids: Vec<Identifier> = (1..=size).filter_map(Identifier::new).collect();
    let mut first = BTreeMap::new();
    let mut broadcasts = BTreeMap::new();
    for id in &ids {
        let (state, package) = dkg::start(Scheme::SchnorrSecp256k1, *id, size, threshold, &mut OsRng)?;
        first.insert(*id, state);
        broadcasts.insert(*id, package);
    }
    let mut second = BTreeMap::new();
    let mut inboxes: BTreeMap<Identifier, BTreeMap<Identifier, dkg::PrivatePackage>> = BTreeMap::new();
    for (id, state) in first {
        let mut others = broadcasts.clone();
        others.remove(&id);
        let (state, dealt) = state.receive(others)?;
        second.insert(id, state);
        for (to, package) in dealt {
            inboxes.entry(to).or_default().insert(id, package);
        }
    }
    second
        .into_iter()
        .map(|(id, state)| Ok((id, state.finish(inboxes.remove(&id).unwrap_or_default())?)))
        .collect()
}

/// The resident memory of the largest node, idle for a second, in MiB.
fn resident_mib(network: &Network) -> Result<f64> {
    std::thread::sleep(Duration::from_secs(1));
    let mut most = 0;
    for process in network.nodes.iter().filter_map(|node| node.process.as_ref()) {
        most = most.max(process.resident_bytes()?);
    }
    Ok(most as f64 / f64::from(1 << 20))
}
