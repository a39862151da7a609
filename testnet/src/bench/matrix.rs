//! The whole table: every scheme, an action in Rust, one in JavaScript and one whose reads differ, nodes near and far, few and many in
//! flight, and where the processors' time goes.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use countersign_bench::{Ceiling, Load, Row, markdown};
use countersign_client::{LocalSigner, Url};
use countersign_testnet::{Network, Plan, delay::Delays, demonstrations, network};
use countersign_types::{ActionId, Bytes, KeySpec, Manifest, Scheme, SignedRequest};
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;

use super::{
    network_in, places, plot,
    profile::{self, Profile, Sampling},
    usage::processor_ms,
};

/// How far apart the nodes are, in milliseconds there and back.
const ROUND_TRIPS_MS: [u64; 3] = [0, 10, 50];
/// How many requests are in flight, and of how many.
const IN_FLIGHT: [(usize, usize); 3] = [(1, 120), (16, 480), (64, 960)];
/// How long the ceiling is measured, before and after each row.
const CEILING: Duration = Duration::from_millis(1_500);
/// How many requests go ahead, to each node.
const WARM_UP: usize = 10;
/// The whole of an action that allows everything.
const ALLOW: &str = "import { context, sign } from \"countersign\";\n\
                     export default () => ({ sign: sign.bytes(context.params) });\n";
/// The price above which the action that reads it signs: well below the test network's.
const AT_LEAST: u64 = 1;
/// How far the nodes' prices may lie apart, in hundredths of a per cent.
const TOLERANCE_BPS: u32 = 50;
/// How many signatures are profiled.
const PROFILED: usize = 2_000;

/// The actions that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Measured {
    /// Reads nothing.
    Rust,
    /// Reads nothing.
    JavaScript,
    /// In JavaScript: a price that is another one at each node, so that the nodes' records go once around before shares do.
    Price,
}

impl Measured {
    const ALL: [Self; 3] = [Self::Rust, Self::JavaScript, Self::Price];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Price => "JavaScript, reads a price",
        }
    }

    /// With which keys it is measured: what a read costs is the same for all.
    fn schemes(self) -> &'static [Scheme] {
        match self {
            Self::Rust | Self::JavaScript => &Scheme::ALL,
            Self::Price => &[Scheme::SchnorrSecp256k1],
        }
    }

    async fn publish(self, network: &Network) -> Result<ActionId> {
        let (manifest, content) = match self {
            Self::Rust => {
                // by the session's time: no chain is asked for a block
                let (manifest, content) = network::action("time-lock")?;
                (Manifest { chains: Vec::new(), ..manifest }, content)
            }
            Self::JavaScript => network::script_manifest("allow", ALLOW, &[], &[]),
            Self::Price => network::action("price-gate")?,
        };
        let action = network.publish_content(0, manifest, content).await?.action_id;
        network.wait_replicated(action).await?;
        Ok(action)
    }

    /// A key of the action.
    fn key(self, scheme: Scheme, action: ActionId) -> KeySpec {
        let config = match self {
            Self::Rust => json!({ "not_before": 0 }),
            Self::JavaScript => json!({}),
            Self::Price => demonstrations::price_config(AT_LEAST, TOLERANCE_BPS),
        };
        demonstrations::key_spec_of(scheme, action, &config)
    }

    /// What asks for one signature.
    fn params(self) -> Bytes {
        let message = Bytes::from_static(b"benchmark");
        match self {
            Self::Rust => json!({ "messages": [message] }).to_string().into_bytes().into(),
            Self::JavaScript | Self::Price => message,
        }
    }
}

/// One row, with what it is of.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figure {
    pub(super) round_trip_ms: u64,
    pub(super) scheme: Scheme,
    pub(super) action: Measured,
    #[serde(flatten)]
    pub(super) row: Row,
}

impl Figure {
    const TITLES: [&str; 3] = ["ms between nodes", "scheme", "action"];

    fn cells(&self) -> Vec<String> {
        let of = [self.round_trip_ms.to_string(), self.scheme.to_string(), self.action.name().to_owned()];
        of.into_iter().chain(self.row.cells()).collect()
    }
}

/// Measures everything, and writes `figures.md`, `figures.json` and `figures.svg` into a folder.
pub(super) async fn run(program: &Path, out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    profile::check()?;
    let mut figures = Vec::new();
    let mut processor = None;
    for round_trip_ms in ROUND_TRIPS_MS {
        let mut place = Place::new(program, round_trip_ms).await?;
        figures.extend(place.figures().await?);
        if round_trip_ms == 0 {
            processor = Some(place.processor().await?);
        }
        place.network.stop()?;
    }
    let document =
        json!({ "schema": 2, "nodes": 5, "threshold": 3, "processor": processor, "figures": figures });
    let rows: Vec<Vec<String>> = figures.iter().map(Figure::cells).collect();
    let titles: Vec<&str> = Figure::TITLES.into_iter().chain(Row::TITLES).collect();
    let files = [
        ("figures.json", serde_json::to_string_pretty(&document)? + "\n"),
        ("figures.md", text(&markdown(&titles, &rows), processor.as_ref())),
        ("figures.svg", plot::throughput(&figures)?),
    ];
    for (name, content) in files {
        let path = out.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

fn text(table: &str, processor: Option<&Processor>) -> String {
    let cores = Ceiling::cores();
    let processor = processor.map_or_else(String::new, Processor::text);
    format!(
        "# What a signature costs\n\n\
         Three of five nodes sign, each a process of its own, all of them and whoever asks on one machine with {cores} cores. The \
         actions in Rust and JavaScript read nothing; the third one reads a price over HTTPS that is another one at each node, which \
         takes a second round between nodes. The ceiling is what all cores make with nothing but FROST's operations, measured before \
         and after each row. Made by `testnet bench --table docs/figures`; machines differ, so look at the last column.\n\n\
         ![Signatures per second](figures.svg)\n\n{table}{processor}"
    )
}

/// What a signature takes of the nodes' processors, and where it goes.
#[derive(Debug, Serialize)]
struct Processor {
    action: Measured,
    scheme: Scheme,
    in_flight: usize,
    /// Of one core, in all nodes together.
    ms_per_signature: f64,
    parts: Profile,
}

impl Processor {
    fn text(&self) -> String {
        let Self { action, scheme, in_flight, ms_per_signature, parts } = self;
        let rows: Vec<Vec<String>> = parts
            .shares()
            .map(|(part, share)| {
                vec![
                    part.to_owned(),
                    format!("{:.0} %", share * 100.0),
                    format!("{:.2}", share * ms_per_signature),
                ]
            })
            .collect();
        format!(
            "\n## Where the processors' time goes\n\n\
             {ms_per_signature:.2} ms of one core for each signature in all nodes together ({scheme}, {}, {in_flight} in flight), by \
             what Linux's perf finds running when it looks. `curves` is the arithmetic of elliptic curves, `kernel` sockets, wake-ups \
             and pages, `memory` allocation and copying.\n\n{}",
            action.name(),
            markdown(&["part", "share", "ms"], &rows)
        )
    }
}

/// A network of its own, with its nodes so far apart, and whoever asks it.
struct Place {
    round_trip_ms: u64,
    network: Network,
    load: Load,
    caller: LocalSigner,
    _delays: Option<Delays>,
    _folder: TempDir,
}

impl Place {
    async fn new(program: &Path, round_trip_ms: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut network = network_in(folder.path(), program)?;
        let delays = match round_trip_ms {
            0 => None,
            distance => Some(Delays::between(&network, Duration::from_millis(distance) / 2).await?),
        };
        network.start_outside().await?;
        network.start_nodes()?;
        network.wait_ready().await?;
        let caller = network.key("caller")?;
        let nodes = network.nodes.iter().map(|node| node.api.parse()).collect::<Result<Vec<Url>, _>>()?;
        let load = Load::new(nodes, network.trust().await?)?;
        Ok(Self { round_trip_ms, network, load, caller, _delays: delays, _folder: folder })
    }

    async fn figures(&self) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for action in Measured::ALL {
            let id = action.publish(&self.network).await?;
            for &scheme in action.schemes() {
                let key = action.key(scheme, id);
                let Plan { nodes, threshold, .. } = self.network.plan;
                let ceiling = Ceiling::new(scheme, nodes, threshold)?;
                self.warm_up(action, &key).await?;
                for (in_flight, count) in IN_FLIGHT {
                    let requests = self.requests(action, &key, count)?;
                    let (_, row) = self.load.beside(&ceiling, CEILING, &requests, places(in_flight)?).await?;
                    let figure = Figure { round_trip_ms: self.round_trip_ms, scheme, action, row };
                    println!("{}", figure.cells().join("  "));
                    figures.push(figure);
                }
            }
        }
        Ok(figures)
    }

    /// Where the nodes' time goes with many requests in flight, for the action and scheme that come first.
    async fn processor(&self) -> Result<Processor> {
        let (action, scheme) = (Measured::Rust, Scheme::SchnorrSecp256k1);
        let key = action.key(scheme, action.publish(&self.network).await?);
        self.warm_up(action, &key).await?;
        let requests = self.requests(action, &key, PROFILED)?;
        let (in_flight, _) = IN_FLIGHT[IN_FLIGHT.len() - 1];
        let before = processor_ms(&self.network)?;
        let sampling = Sampling::start(&self.network, &self.network.plan.folder)?;
        self.load.run(&requests, places(in_flight)?).await?;
        let parts = sampling.end()?;
        let ms_per_signature = processor_ms(&self.network)?.since(before, PROFILED).nodes;
        Ok(Processor { action, scheme, in_flight, ms_per_signature, parts })
    }

    async fn warm_up(&self, action: Measured, key: &KeySpec) -> Result<()> {
        let nodes = self.network.nodes.len();
        self.load.run(&self.requests(action, key, nodes * WARM_UP)?, places(nodes)?).await?;
        Ok(())
    }

    fn requests(&self, action: Measured, key: &KeySpec, count: usize) -> Result<Vec<SignedRequest>> {
        let one = |_| demonstrations::request(&self.network, key.clone(), action.params(), &self.caller);
        (0..count).map(one).collect()
    }
}
