//! How long a warm run takes, live and replayed, beside the least that a run can be.
//!
//! `cargo bench --workspace --profile dev --bench run`, with `-- NAME..` for these guests only. Floor: a store, an instance and an empty
//! decision. `price` and `page` make one HTTP read each, agreed by fields and identical, answered from memory. The profile is
//! the one of tests and nodes in this repository, and the actions are the ones that come with it.

#[path = "../tests/guest/mod.rs"]
mod guest;

use std::time::{Duration, Instant};

use countersign_action::Config;
use guest::{Answers, Guest};

/// Runs whose times are measured, after as many that are not.
const RUNS: usize = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>10}",
        "guest", "compile", "live p50", "live p95", "replay p50", "x live", "x replay", "fuel"
    );
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut floor = None;
    for name in [
        "empty",
        "three-reads",
        "calls",
        "price",
        "page",
        "balance-gate",
        "time-lock",
        "empty script",
        "balance-gate-js",
        "price-gate",
    ] {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        let line = runtime.block_on(measure(name));
        let floor = *floor.get_or_insert(line.live.0);
        println!(
            "{:24} {:>8.0}ms {:>8.1}us {:>8.1}us {:>8.1}us {:>8.2} {:>8.2} {:>10}",
            name,
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

async fn guest(name: &str) -> Guest {
    let host = guest::host(&Config::default());
    match name {
        "balance-gate" => {
            let config = r#"{"chain_id":31337,"token":null,"minimum":"1000"}"#;
            Guest::action(host, name, config, "a message").await
        }
        "time-lock" => {
            let (config, params) =
                (r#"{"not_before":1600000000,"chain_id":31337}"#, r#"{"messages":["0x00ff"]}"#);
            Guest::action(host, name, config, params).await
        }
        "empty script" => {
            let source = "import { sign } from \"countersign\"; export default () => sign.bytes(\"0x00\");";
            Guest::script(countersign_runners::javascript().component, source).await
        }
        "balance-gate-js" => {
            Guest::javascript(name, r#"{"chain_id":31337,"token":null,"minimum":"1000"}"#).await
        }
        "price-gate" => {
            let endpoint = r#"{"url":"https://a.example/x","pointer":"/price"}"#;
            let config = format!(r#"{{"endpoints":[{endpoint}],"tolerance":{{"bps":50}},"above":"1"}}"#);
            Guest::javascript(name, &config).await
        }
        _ => Guest::on(host, &guest::component(name)).await,
    }
}

struct Line {
    compile: Duration,
    live: (Duration, Duration),
    replay: (Duration, Duration),
    fuel: u64,
}

async fn measure(name: &str) -> Line {
    let started = Instant::now();
    let guest = guest(name).await;
    let compile = started.elapsed();
    let (mut live, mut replay, mut fuel) = (Vec::new(), Vec::new(), 0);
    for _ in 0..2 * RUNS {
        let started = Instant::now();
        let run = guest.live(Answers::web(guest::prices)).await;
        live.push(started.elapsed());
        let started = Instant::now();
        let replayed = guest.replay(&run.reads).await;
        replay.push(started.elapsed());
        assert!(run.end.is_ok(), "{:?}", run.end);
        assert_eq!(run.end, replayed.end, "the replay ends as the run did");
        fuel = run.fuel;
    }
    Line { compile, live: percentiles(&mut live[RUNS..]), replay: percentiles(&mut replay[RUNS..]), fuel }
}

fn percentiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
