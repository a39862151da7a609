//! Nodes that are killed at any point of the protocol, and started again, while callers go on asking.
//!
//! `COUNTERSIGN_KILL_CYCLES` sets how often; 500 is a soak. `--no-capture` shows what was measured.

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context, Result, ensure};
use countersign_testnet::wire::{Event, Tail, Way};
use rand_core::{OsRng, RngCore};
use tokio::time::sleep;

use crate::{
    load::{Caller, Load},
    support::{DEADLINE_S, without_chain},
};

const CYCLES: usize = 20;
const CALLERS: usize = 3;
/// How long to wait for a point that does not come, before the node is killed all the same.
const POINT_PATIENCE: Duration = Duration::from_secs(3);
/// What nine in ten nodes that were killed need at most, from their start to a signature that they coordinate.
const RESUMES: Duration = Duration::from_secs(5);
/// So many cycles have a ninetieth percentile that says something.
const MANY: usize = 100;
/// The longest random wait before a kill and before the start after it, in milliseconds.
const WAIT_MS: u32 = 400;

/// A point of the protocol: what the node has just written to its wire log when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    /// No point: at a random time.
    Random,
    Proposed,
    ProposalReceived,
    Observed,
    PackageReceived,
    SharesSent,
    SharesReceived,
    HandedOut,
}

impl Point {
    const ALL: [Self; 8] = [
        Self::Random,
        Self::Proposed,
        Self::ProposalReceived,
        Self::Observed,
        Self::PackageReceived,
        Self::SharesSent,
        Self::SharesReceived,
        Self::HandedOut,
    ];

    fn is(self, way: Way, event: &Event) -> bool {
        match self {
            Self::Random => false,
            Self::Proposed => way == Way::Sent && matches!(event, Event::Propose { .. }),
            Self::ProposalReceived => way == Way::Received && matches!(event, Event::Propose { .. }),
            Self::Observed => way == Way::Sent && matches!(event, Event::Observed { .. }),
            Self::PackageReceived => {
                way == Way::Received
                    && matches!(event, Event::Sign(_) | Event::Propose { eager: Some(_), .. })
            }
            Self::SharesSent => way == Way::Sent && matches!(event, Event::Signed { .. }),
            Self::SharesReceived => way == Way::Received && matches!(event, Event::Signed { .. }),
            Self::HandedOut => way == Way::Sent && matches!(event, Event::HandOut { .. }),
        }
    }
}

fn up_to(most: u32) -> Duration {
    Duration::from_millis(u64::from(OsRng.next_u32() % most))
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_cycles() -> Result<()> {
    let cycles = match env::var("COUNTERSIGN_KILL_CYCLES") {
        Ok(text) => text.parse().context("COUNTERSIGN_KILL_CYCLES is a number")?,
        Err(_) => CYCLES,
    };
    ensure!(cycles > 0, "COUNTERSIGN_KILL_CYCLES is at least 1");
    let mut network = without_chain(5, 3).await?;
    let lock = network.time_lock().await?;
    let caller = Caller::new(&network, lock).await?;
    let load = Load::start(&caller, CALLERS);

    // points that came before the kill, and lines that were the node's last
    let mut reached: BTreeMap<Point, usize> = BTreeMap::new();
    let mut last_words: BTreeMap<String, usize> = BTreeMap::new();
    let mut resumed = Vec::new();
    for cycle in 0..cycles {
        let node = OsRng.next_u32() as usize % network.nodes.len();
        let point = Point::ALL[cycle % Point::ALL.len()];
        let mut tail = Tail::new(&network.nodes[node].wire_log())?;
        if point == Point::Random {
            sleep(up_to(WAIT_MS)).await;
        } else if tail.wait(POINT_PATIENCE, |way, event| point.is(way, event)).await? {
            *reached.entry(point).or_default() += 1;
        }
        network.nodes[node].kill()?;
        let last = tail.last()?.map(serde_json::to_value).transpose()?;
        *last_words.entry(last.as_ref().map_or("nothing".into(), kind)).or_default() += 1;

        sleep(up_to(WAIT_MS)).await;
        network.nodes[node].start()?;
        let took = caller.until_signs(node).await?;
        ensure!(took.as_secs_f64() < DEADLINE_S, "cycle {cycle}: node {} signs after {took:?}", node + 1);
        resumed.push(took);
    }
    let served = load.end().await?;
    network.no_panic()?;
    network.network.stop()?;
    let summary = network.check_wire(&[])?;

    resumed.sort();
    let within = resumed.iter().filter(|took| **took <= RESUMES).count();
    println!("{cycles} kills; killed behind: {reached:?}; last words: {last_words:?}");
    println!(
        "signs after its start: median {:?}, p90 {:?}, longest {:?}, {within} of {cycles} within {RESUMES:?}",
        percentile(&resumed, 50),
        percentile(&resumed, 90),
        percentile(&resumed, 100)
    );
    println!(
        "{} signatures verified, longest gap {:?}; wire: {summary:?}",
        served.signatures, served.longest_gap
    );
    // each cycle is within a request's deadline; a busy machine may make a few of them slower than this, and few cycles have a
    // ninetieth percentile of two or three
    let percents: &[usize] = if cycles < MANY { &[50] } else { &[50, 90] };
    for &percent in percents {
        let took = percentile(&resumed, percent);
        ensure!(took <= RESUMES, "p{percent} of {cycles} restarts: it signs after {took:?}, not {RESUMES:?}");
    }
    ensure!(summary.boots == network.nodes.len() + cycles, "a process has no log: {summary:?}");
    ensure!(served.signatures > cycles, "{} signatures under load", served.signatures);
    ensure!(
        summary.shares >= 3 * (served.signatures + cycles),
        "too few shares are in the logs: {summary:?}"
    );
    // a node is killed behind each point at which it was waited for, in most cycles
    let waited = cycles - cycles.div_ceil(Point::ALL.len());
    let hit: usize = reached.values().sum();
    ensure!(2 * hit >= waited, "of {waited} points {hit} were reached: {reached:?}");
    Ok(())
}

/// What so many in a hundred took at most; they are sorted, and at least one.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
    sorted[place - 1]
}

/// What a line is, for the report.
fn kind(line: &serde_json::Value) -> String {
    let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    format!("{} {}", word("kind"), word("way"))
}

#[test]
fn a_percentile_is_one_of_the_values() {
    let took: Vec<Duration> = (1..=20).map(Duration::from_secs).collect();
    let seconds = |percent| percentile(&took, percent).as_secs();
    assert_eq!([50, 90, 100].map(seconds), [10, 18, 20]);
    assert_eq!(percentile(&took[..1], 50), took[0]);
}
