//! Latency, throughput and processor time of a network of its own, beside a floor of the same run, and what faults do to them.

mod matrix;
mod plot;
mod profile;
mod usage;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use countersign_bench::{Ceiling, Latencies, Load, Run};
use countersign_client::{LocalSigner, Url};
use countersign_testnet::{
    Network, Plan,
    delay::Delays,
    demonstrations,
    relay::{Relay, false_shares, identity},
};
use countersign_types::{Bytes, KeySpec, Scheme, SignedRequest};
use serde_json::json;

use profile::Sampling;
use usage::processor_ms;

/// The node that lies.
const LIAR: usize = 4;
/// How much longer the slow node's messages take, there and back.
const SLOW: Duration = Duration::from_millis(500);
/// How long the ceiling is measured, half of it before and half after; and one core alone.
const CEILING: Duration = Duration::from_secs(2);

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
    /// Which action decides.
    #[arg(long, value_enum, default_value_t = Decides::BalanceGate)]
    action: Decides,
    /// Also with one node killed, with one that takes half a second longer for everything, and with one that lies.
    #[arg(long)]
    faults: bool,
    /// Also say where the nodes' processor time goes while several are in flight, by sampling them with perf.
    #[arg(long)]
    profile: bool,
    /// Measure everything instead, and write figures.md, figures.json and figures.svg into this folder: each scheme, an action in Rust
    /// and one in JavaScript, one whose reads differ, nodes 0, 10 and 50 ms apart, 1, 16 and 64 requests in flight, and where the
    /// nodes' processor time goes (with Linux's perf).
    #[arg(long, conflicts_with_all = ["sequential", "parallel", "in_flight", "round_trip_ms", "action", "faults", "profile"])]
    table: Option<PathBuf>,
}

/// The actions that can be measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decides {
    /// One read of a chain.
    BalanceGate,
    /// No read.
    TimeLock,
}

impl Decides {
    /// Publishes the action, and gives the caller what it asks for.
    async fn prepare(self, network: &Network) -> Result<Stage> {
        let (name, config) = match self {
            Self::BalanceGate => {
                ("balance-gate", demonstrations::token_config(network.token()?, demonstrations::one_token()))
            }
            Self::TimeLock => ("time-lock", json!({ "not_before": 0 })),
        };
        let action = network.publish(name).await?.action_id;
        let caller = demonstrations::holder(network).await?;
        network.wait_replicated(action).await?;
        Ok(Stage { key: demonstrations::key_spec(action, &config), caller })
    }

    /// What asks for one signature.
    fn params(self) -> Bytes {
        let message = Bytes::from_static(b"benchmark");
        match self {
            Self::BalanceGate => message,
            Self::TimeLock => json!({ "messages": [message] }).to_string().into_bytes().into(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::BalanceGate => "balance-gate (one chain read)",
            Self::TimeLock => "time-lock (no reads)",
        }
    }
}

/// Who asks, and which key.
struct Stage {
    key: KeySpec,
    caller: LocalSigner,
}

/// A network, and who asks it for what.
struct Bench<'a> {
    network: Network,
    stage: Stage,
    arguments: &'a Arguments,
}

pub(crate) async fn run(program: &Path, arguments: &Arguments) -> Result<()> {
    if let Some(folder) = &arguments.table {
        return matrix::run(program, folder).await;
    }
    ensure!(arguments.sequential >= 1 && arguments.parallel >= 1 && arguments.in_flight >= 1, "at least one");
    ensure!(arguments.sequential + arguments.parallel <= 20_000, "at most 20,000 signatures in all");
    let folder = tempfile::tempdir()?;
    let mut network = network_in(folder.path(), program)?;
    let distance = Duration::from_millis(arguments.round_trip_ms);
    let delays = match (arguments.round_trip_ms, arguments.faults) {
        (0, false) => None,
        _ => Some(Delays::between(&network, distance / 2).await?),
    };
    network.start().await?;
    let stage = arguments.action.prepare(&network).await?;
    let mut bench = Bench { network, stage, arguments };
    println!("3 of 5, five processes and a dev chain on this machine, action {}", arguments.action.name());
    bench.clean().await?;
    if let Some(delays) = delays.filter(|_| arguments.faults) {
        bench.faults(&delays, distance / 2).await?;
    }
    bench.network.stop()?;
    if arguments.faults {
        one_lies(program, arguments).await?;
    }
    Ok(())
}

fn network_in(folder: &Path, program: &Path) -> Result<Network> {
    Network::open(Plan { nodes: 5, threshold: 3, folder: folder.into(), program: program.into() })
}

/// A network of its own, in which one member's shares are false from the first signature on.
async fn one_lies(program: &Path, arguments: &Arguments) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut network = network_in(folder.path(), program)?;
    network.start_chain().await?;
    network.start_outside().await?;
    let lies = false_shares(identity(&network.nodes[LIAR])?, network.genesis.network_id());
    let _relay = Relay::start(&mut network, 0, &[LIAR], lies).await?;
    network.wait_ready().await?;
    let stage = arguments.action.prepare(&network).await?;
    let mut bench = Bench { network, stage, arguments };
    println!("one lies        {}", bench.latencies().await?);
    println!("rounds          {}", usage::further_rounds(&bench.network).await?);
    bench.network.stop()
}

impl Bench<'_> {
    /// New requests, all for one key.
    fn requests(&self, count: usize) -> Result<Vec<SignedRequest>> {
        let Stage { key, caller } = &self.stage;
        let params = self.arguments.action.params();
        let one = |_| demonstrations::request(&self.network, key.clone(), params.clone(), caller);
        (0..count).map(one).collect()
    }

    async fn clean(&self) -> Result<()> {
        let memory = usage::resident_mib(&self.network)?;
        // warm: connections, compiled action, derived key, commitments in advance
        self.measure(40, 1).await?;
        let health = usage::health_us(&self.network).await?;
        let plan = &self.network.plan;
        let ceiling = Ceiling::new(Scheme::SchnorrSecp256k1, plan.nodes, plan.threshold)?;
        let one_ms = ceiling.one_ms(CEILING / 2)?;
        let before = processor_ms(&self.network)?;
        let latencies = self.latencies().await?;
        let spent = processor_ms(&self.network)?.since(before, self.arguments.sequential);
        let in_flight = self.arguments.in_flight;
        let sampling =
            self.arguments.profile.then(|| Sampling::start(&self.network, &self.network.plan.folder));
        let sampling = sampling.transpose()?;
        let requests = self.requests(self.arguments.parallel)?;
        let (_, row) = self.load().await?.beside(&ceiling, CEILING, &requests, places(in_flight)?).await?;
        let profile = sampling.map(Sampling::end).transpose()?;
        println!("one in flight   {latencies}");
        if self.arguments.round_trip_ms > 0 {
            println!(
                "distance        {} ms there and back between nodes: p50 is {:.2} of it",
                self.arguments.round_trip_ms,
                latencies.quantile(0.5) / self.arguments.round_trip_ms as f64
            );
        }
        println!("{in_flight} in flight    {:.0} signatures/s", row.per_second);
        println!(
            "processor       {:.2} ms of one core for each signature in all nodes, {:.2} ms in the dev chain",
            spent.nodes, spent.chain
        );
        println!(
            "floor           bare HTTP round trip {:.2} ms; FROST alone {:.2} ms of one core",
            health / 1e3,
            one_ms
        );
        println!(
            "ceiling         {:.0} signatures/s on {} cores by FROST alone; reached {:.1} %",
            row.ceiling_per_second,
            Ceiling::cores(),
            100.0 * row.of_ceiling
        );
        if let Some(profile) = profile {
            println!("profile         {profile}");
        }
        println!("memory          {memory:.0} MiB resident in the largest node");
        println!("rounds          {}", usage::further_rounds(&self.network).await?);
        Ok(())
    }

    async fn faults(&mut self, delays: &Delays, one_way: Duration) -> Result<()> {
        self.network.nodes[1].kill()?;
        println!("one killed      {}", self.latencies().await?);
        println!("rounds          {}", usage::further_rounds(&self.network).await?);
        self.network.nodes[1].start()?;
        self.network.wait_ready().await?;
        delays.set(2, one_way + SLOW / 2);
        println!("one slow        {}", self.latencies().await?);
        println!("rounds          {}", usage::further_rounds(&self.network).await?);
        delays.set(2, one_way);
        Ok(())
    }

    /// Of signatures one after the other, asked of one node.
    async fn latencies(&self) -> Result<Latencies> {
        Ok(self.measure(self.arguments.sequential, 1).await?.latencies)
    }

    async fn measure(&self, count: usize, in_flight: usize) -> Result<Run> {
        Ok(self.load().await?.run(&self.requests(count)?, places(in_flight)?).await?)
    }

    /// Whoever asks the nodes that run.
    async fn load(&self) -> Result<Load> {
        let running = self.network.nodes.iter().filter(|node| node.process.is_some());
        let nodes = running.map(|node| node.api.parse()).collect::<Result<Vec<Url>, _>>()?;
        Ok(Load::new(nodes, self.network.trust().await?)?)
    }
}

fn places(count: usize) -> Result<NonZeroUsize> {
    NonZeroUsize::new(count).context("at least one in flight")
}
