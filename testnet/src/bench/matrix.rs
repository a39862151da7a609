//! The whole table: every scheme, an action in Rust and one in JavaScript, nodes near and far, few and many in flight.

use std::{fs, num::NonZeroUsize, path::Path, time::Duration};

use anyhow::{Context, Result};
use countersign_bench::{Ceiling, Load, Row, markdown};
use countersign_client::{LocalSigner, Url};
use countersign_testnet::{Network, delay::Delays, demonstrations, network};
use countersign_types::{ActionId, Bytes, KeySpec, Manifest, Scheme, SignedRequest};
use serde::Serialize;
use serde_json::json;

use super::{network_in, plot};

/// How far apart the nodes are, in milliseconds there and back.
const ROUND_TRIPS_MS: [u64; 3] = [0, 10, 50];
/// How many requests are in flight, and of how many.
const IN_FLIGHT: [(usize, usize); 3] = [(1, 120), (16, 480), (64, 960)];
/// How long the ceiling is measured, beside each row.
const CEILING: Duration = Duration::from_millis(600);
/// How many requests go ahead, to each node.
const WARM_UP: usize = 10;
/// The whole of an action that allows everything.
const ALLOW: &str = "import { context, sign } from \"countersign\";\n\
                     export default () => ({ sign: sign.bytes(context.params) });\n";

/// The actions that are measured: neither reads anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    Rust,
    JavaScript,
}

impl Language {
    const ALL: [Self; 2] = [Self::Rust, Self::JavaScript];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
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
        };
        demonstrations::key_spec_of(scheme, action, &config)
    }

    /// What asks for one signature.
    fn params(self) -> Bytes {
        let message = Bytes::from_static(b"benchmark");
        match self {
            Self::Rust => json!({ "messages": [message] }).to_string().into_bytes().into(),
            Self::JavaScript => message,
        }
    }
}

/// One row, with what it is of.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figure {
    pub(super) round_trip_ms: u64,
    pub(super) scheme: Scheme,
    pub(super) action: Language,
    #[serde(flatten)]
    pub(super) row: Row,
}

impl Figure {
    const TITLES: [&str; 3] = ["ms between nodes", "scheme", "action in"];

    fn cells(&self) -> Vec<String> {
        let of = [self.round_trip_ms.to_string(), self.scheme.to_string(), self.action.name().to_owned()];
        of.into_iter().chain(self.row.cells()).collect()
    }
}

/// Measures everything, and writes `figures.md`, `figures.json` and `figures.svg` into a folder.
pub(super) async fn run(program: &Path, out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut figures = Vec::new();
    for round_trip_ms in ROUND_TRIPS_MS {
        figures.extend(at_distance(program, round_trip_ms).await?);
    }
    let document = json!({ "schema": 1, "nodes": 5, "threshold": 3, "figures": figures });
    let rows: Vec<Vec<String>> = figures.iter().map(Figure::cells).collect();
    let titles: Vec<&str> = Figure::TITLES.into_iter().chain(Row::TITLES).collect();
    let files = [
        ("figures.json", serde_json::to_string_pretty(&document)? + "\n"),
        ("figures.md", text(&markdown(&titles, &rows))),
        ("figures.svg", plot::throughput(&figures)?),
    ];
    for (name, content) in files {
        let path = out.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

fn text(table: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    format!(
        "# What a signature costs\n\n\
         Three of five nodes sign, each a process of its own, all of them and whoever asks on one machine with {cores} cores. The \
         actions read nothing. The ceiling is what all cores make with nothing but FROST's operations, measured beside each row. \
         Made by `testnet bench --table docs/figures`; machines differ, so look at the last column.\n\n\
         ![Signatures per second](figures.svg)\n\n{table}"
    )
}

/// Measures a network of its own, with its nodes so far apart.
async fn at_distance(program: &Path, round_trip_ms: u64) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let mut network = network_in(folder.path(), program)?;
    let _delays = match round_trip_ms {
        0 => None,
        distance => Some(Delays::between(&network, Duration::from_millis(distance) / 2).await?),
    };
    network.start_nodes()?;
    network.wait_ready().await?;
    let caller = network.key("caller")?;
    let nodes = network.nodes.iter().map(|node| node.api.parse()).collect::<Result<Vec<Url>, _>>()?;
    let load = Load::new(nodes, network.trust().await?)?;
    let mut figures = Vec::new();
    for action in Language::ALL {
        let id = action.publish(&network).await?;
        for scheme in Scheme::ALL {
            let asked = Asked {
                network: &network,
                key: action.key(scheme, id),
                params: action.params(),
                caller: &caller,
            };
            for row in asked.rows(&load).await? {
                let figure = Figure { round_trip_ms, scheme, action, row };
                println!("{}", figure.cells().join("  "));
                figures.push(figure);
            }
        }
    }
    network.stop()?;
    Ok(figures)
}

/// What is asked for, again and again.
struct Asked<'a> {
    network: &'a Network,
    key: KeySpec,
    params: Bytes,
    caller: &'a LocalSigner,
}

impl Asked<'_> {
    async fn rows(&self, load: &Load) -> Result<Vec<Row>> {
        let nodes = self.network.nodes.len();
        load.run(&self.requests(nodes * WARM_UP)?, places(nodes)?).await?;
        let mut rows = Vec::new();
        for (in_flight, count) in IN_FLIGHT {
            let plan = &self.network.plan;
            let ceiling = Ceiling::measure(self.key.scheme, plan.nodes, plan.threshold, CEILING)?;
            rows.push(load.run(&self.requests(count)?, places(in_flight)?).await?.row(ceiling));
        }
        Ok(rows)
    }

    fn requests(&self, count: usize) -> Result<Vec<SignedRequest>> {
        let one =
            |_| demonstrations::request(self.network, self.key.clone(), self.params.clone(), self.caller);
        (0..count).map(one).collect()
    }
}

fn places(count: usize) -> Result<NonZeroUsize> {
    NonZeroUsize::new(count).context("at least one in flight")
}
