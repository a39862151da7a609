//! How long a warm run takes, live and replayed, beside the least that a run can be.
//!
//! `cargo bench -p countersign-action [-- component.wasm]`: without a component it runs the tests' guests.
//! A component of yours is run with a balance of 10^18 wei for every account.

#[path = "../tests/guest/mod.rs"]
mod guest;

use std::time::{Duration, Instant};

use countersign_action::{Config, ReadFailure};
use countersign_types::evm::{EvmRead, EvmValue};
use guest::{Answers, Guest};

/// Runs whose times are measured, after as many that are not.
const RUNS: usize = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let named = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let mut guests: Vec<(String, Vec<u8>)> =
        ["empty", "three-reads", "calls"].map(|name| (name.to_owned(), guest::component(name))).into();
    for path in named {
        let component = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        guests.push((path, component));
    }
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>10}",
        "guest", "compile", "live p50", "live p95", "replay p50", "x live", "x replay", "fuel"
    );
    let mut floor = None;
    for (name, component) in guests {
        let line = runtime.block_on(measure(&component));
        let floor = *floor.get_or_insert(line.live.0);
        println!(
            "{:24} {:>8.0}ms {:>8.1}us {:>8.1}us {:>8.1}us {:>8.2} {:>8.2} {:>10}",
            name.rsplit('/').next().unwrap_or(&name),
            line.compile.as_secs_f64() * 1e3,
            micros(line.live.0),
            micros(line.live.1),
            micros(line.replay.0),
            micros(line.live.0) / micros(floor),
            micros(line.replay.0) / micros(floor),
            line.fuel,
        );
    }
}

struct Line {
    compile: Duration,
    live: (Duration, Duration),
    replay: (Duration, Duration),
    fuel: u64,
}

async fn measure(component: &[u8]) -> Line {
    let started = Instant::now();
    let guest = Guest::on(guest::host(&Config::default()), component).await;
    let compile = started.elapsed();
    let (mut live, mut replay, mut fuel) = (Vec::new(), Vec::new(), 0);
    for _ in 0..2 * RUNS {
        let started = Instant::now();
        let run = guest.live(Answers::new(answer)).await;
        live.push(started.elapsed());
        let started = Instant::now();
        let replayed = guest.replay(&run.reads).await;
        replay.push(started.elapsed());
        assert_eq!(run.end, replayed.end, "the replay ends as the run did");
        fuel = run.fuel;
    }
    Line { compile, live: percentiles(&mut live[RUNS..]), replay: percentiles(&mut replay[RUNS..]), fuel }
}

fn answer(read: &EvmRead) -> Result<EvmValue, ReadFailure> {
    guest::world(read)
}

fn percentiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
