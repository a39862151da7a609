//! What a warm read costs beside the bare HTTP exchange under it: `cargo bench --workspace --bench read`.

use std::time::{Duration, Instant};

use countersign_chain::{ChainConfig, Chains, ProviderConfig};
use countersign_contracts::anvil::{Anvil, AnvilConfig};
use countersign_types::{Address, evm::EvmRead};

const ROUNDS: usize = 3_000;

#[tokio::main]
async fn main() {
    let anvil = Anvil::start(&AnvilConfig::default()).expect("a development chain");
    let config = ChainConfig::new(31337, vec![ProviderConfig::new("local", anvil.url())]);
    let chains = Chains::start(vec![config]).expect("a configuration");
    let pin = chains.head(31337).await.expect("a head");
    let address = Address::repeat_byte(7);
    let balance = EvmRead::Balance { chain_id: 31337, address };
    let call = EvmRead::Call { chain_id: 31337, to: address, data: vec![0; 36].into(), from: Address::ZERO };

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url: reqwest::Url = anvil.url().parse().expect("a URL");
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["{address}",{{"blockHash":"{}","requireCanonical":true}}]}}"#,
        pin.hash
    );
    let floor = measure(async || {
        let request = client.post(url.clone()).header("content-type", "application/json").body(body.clone());
        request.send().await.expect("sent").bytes().await.expect("answered");
    });
    report("bare POST of a balance request", floor.await);
    report("read: balance", measure(async || drop(chains.read(&pin, &balance).await.expect("read"))).await);
    report("read: eth_call", measure(async || drop(chains.read(&pin, &call).await.expect("read"))).await);
    report("check of a known pin", measure(async || chains.check_pin(&pin).await.expect("stands")).await);
    report("head", measure(async || assert_eq!(chains.head(31337).await, Ok(pin))).await);
}

async fn measure(operation: impl AsyncFn()) -> Vec<Duration> {
    for _ in 0..ROUNDS / 10 {
        operation().await;
    }
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        operation().await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times
}

fn report(what: &str, times: Vec<Duration>) {
    let micros = |percent: usize| times[times.len() * percent / 100].as_nanos() as f64 / 1_000.0;
    println!("{what:<32} p50 {:>8.1} us   p95 {:>8.1} us", micros(50), micros(95));
}
