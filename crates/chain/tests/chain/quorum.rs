//! Providers that lie, are silent, slow, broken or elsewhere.

use std::time::{Duration, Instant};

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Header,
};
use axum::http::StatusCode;
use countersign_chain::{
    ChainConfig, ChainError, Chains, ConfigProblem, Fault, PinError, ProviderState, ReadError,
};
use countersign_contracts::anvil::AnvilConfig;
use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue},
};
use serde_json::{Value, json};

use crate::{
    proxy::{Proxy, Say},
    world::{CHAIN, World, chains, config, start, until},
};

const RICH: Address = Address::repeat_byte(0x44);
const BALANCE: EvmRead = EvmRead::Balance { chain_id: CHAIN, address: RICH };

/// A chain with a balance on it, and its final block.
async fn world() -> (World, Pin) {
    let world = World::start();
    world.rpc("anvil_setBalance", json!([RICH, "0x64"])).await;
    world.mine(10).await;
    let pin = world.pin(6).await;
    (world, pin)
}

async fn three(
    world: &World,
    behaviour: impl Fn(&str, &Value, &Value) -> Say + Send + Sync + 'static,
) -> (Proxy, Chains) {
    let liar = Proxy::start(world.url(), behaviour).await;
    let urls = [("liar", liar.url()), ("beta", world.url()), ("gamma", world.url() + "/?gamma")];
    let chains = chains(&urls);
    (liar, chains)
}

fn hundred() -> EvmValue {
    EvmValue::Balance(U256::from(100))
}

#[tokio::test]
async fn one_liar_of_three_changes_nothing() {
    let (world, pin) = world().await;
    let (_liar, chains) = three(&world, |method, _, _| match method {
        "eth_getBalance" => Say::Result(json!("0xffff")),
        _ => Say::Truth,
    })
    .await;
    assert_eq!(chains.read(&pin, &BALANCE).await, Ok(hundred()));
}

#[tokio::test]
async fn two_liars_of_three_leave_no_value() {
    let (world, pin) = world().await;
    let liars = [
        Proxy::lying(world.url(), "eth_getBalance", json!("0x65")).await,
        Proxy::lying(world.url(), "eth_getBalance", json!("0x66")).await,
    ];
    let chains = chains(&[("one", liars[0].url()), ("two", liars[1].url()), ("gamma", world.url())]);
    let error = chains.read(&pin, &BALANCE).await.expect_err("three values");
    let ReadError::Disagree { import: "evm.balance", answers, .. } = &error else { panic!("{error}") };
    assert_eq!(answers.len(), 3);
    for operator in ["one", "two", "gamma"] {
        assert!(error.to_string().contains(&format!("{operator} says 0x")), "{error}");
    }
}

#[tokio::test]
async fn where_all_must_agree_one_liar_leaves_no_value() {
    let (world, pin) = world().await;
    let liar = Proxy::lying(world.url(), "eth_getBalance", json!("0x65")).await;
    let providers = [("liar", liar.url()), ("beta", world.url()), ("gamma", world.url() + "/?gamma")];
    let chains = start(ChainConfig { quorum: Some(3), ..config(&providers) });
    let error = chains.read(&pin, &BALANCE).await.expect_err("two values");
    assert!(matches!(error, ReadError::Disagree { .. }), "{error}");
}

#[tokio::test]
async fn a_header_that_does_not_hash_to_its_hash_has_no_voice() {
    let (world, pin) = world().await;
    let (liar, chains) = three(&world, |method, _, truth| match method {
        "eth_getBlockByNumber" => {
            let mut header = truth["result"].clone();
            header["stateRoot"] = json!(B256::repeat_byte(1));
            Say::Result(header)
        }
        _ => Say::Truth,
    })
    .await;
    assert_eq!(chains.head(CHAIN).await, Ok(pin));
    chains.check_pin(&world.pin(5).await).await.expect("the others know the block");

    let alone = chains_of_one(&liar);
    let error = alone.head(CHAIN).await.expect_err("no true header");
    let ChainError::NoQuorum { faults, .. } = error else { panic!("{error}") };
    assert!(matches!(faults.0[0].fault, Fault::FalseHeader { number: 6, .. }), "{faults}");
}

#[tokio::test]
async fn a_forged_block_with_a_true_hash_has_one_voice_only() {
    let (world, pin) = world().await;
    let (_liar, chains) = three(&world, |method, _, truth| match method {
        "eth_getBlockByNumber" => Say::Result(forged(&truth["result"])),
        _ => Say::Truth,
    })
    .await;
    assert_eq!(chains.head(CHAIN).await, Ok(pin));
    let truth = world.rpc("eth_getBlockByNumber", json!(["0x5", false])).await;
    let forged: Header = serde_json::from_value(forged(&truth)).expect("a header");
    let forged = Pin { hash: forged.hash, ..world.pin(5).await };
    let error = chains.check_pin(&forged).await.expect_err("the forged block");
    assert!(matches!(error, PinError::OtherBlock { .. }), "{error}");
}

#[tokio::test]
async fn a_liar_cannot_raise_the_head() {
    let (world, pin) = world().await;
    let latest = world.rpc("eth_getBlockByNumber", json!(["0xa", false])).await;
    let (_liar, chains) = three(&world, move |method, params, _| match method {
        "eth_getBlockByNumber" if params[0] == "finalized" => Say::Result(latest.clone()),
        _ => Say::Truth,
    })
    .await;
    assert_eq!(chains.head(CHAIN).await, Ok(pin));
    let error = chains.check_pin(&world.pin(10).await).await.expect_err("not final");
    assert_eq!(error, PinError::Lagging { own: 6, pinned: 10 });
}

#[tokio::test]
async fn one_that_lags_does_not_vouch_for_a_liars_fork() {
    let (world, _) = world().await;
    let fork = World::with(&AnvilConfig { slots_in_an_epoch: 2, ..AnvilConfig::default() });
    fork.rpc("anvil_setBalance", json!([RICH, "0x1"])).await;
    fork.mine(10).await;
    let old = fork.rpc("eth_getBlockByNumber", json!(["0x2", false])).await;
    let lagging = Proxy::start(fork.url(), move |method, params, _| match method {
        "eth_getBlockByNumber" if params[0] == "finalized" => Say::Result(old.clone()),
        _ => Say::Truth,
    })
    .await;
    let providers = [("alpha", world.url()), ("liar", fork.url()), ("lagging", lagging.url())];
    let chains = start(ChainConfig { finality_step_blocks: 100, ..config(&providers) });
    let forked = fork.pin(6).await;
    assert_ne!(chains.head(CHAIN).await.map(|head| head.number), Ok(6));
    let error = chains.check_pin(&forked).await.expect_err("one liar's word");
    assert!(matches!(error, PinError::Lagging { pinned: 6, .. }), "{error}");

    // The broken variant of the attack's precondition: once it calls the block final, it does vouch.
    lagging.behave(|_, _, _| Say::Truth);
    until("two call it final", async || chains.check_pin(&forked).await.ok()).await;
}

#[tokio::test]
async fn below_the_head_too_only_those_that_call_a_block_final_vouch_for_it() {
    let (world, _) = world().await;
    let fork = World::start();
    fork.rpc("anvil_setBalance", json!([RICH, "0x1"])).await;
    fork.mine(10).await;
    let block = async |number| fork.rpc("eth_getBlockByNumber", json!([number, false])).await;
    let (old, forked) = (block("0x2").await, block("0x5").await);
    // Both say the same of block 5, but one of them has not got so far.
    let liar = Proxy::start(world.url(), move |method, params, _| match method {
        "eth_getBlockByNumber" if params[0] == "0x5" => Say::Result(forked.clone()),
        _ => Say::Truth,
    })
    .await;
    let lagging = Proxy::start(fork.url(), move |method, params, _| match method {
        "eth_getBlockByNumber" if params[0] == "finalized" => Say::Result(old.clone()),
        _ => Say::Truth,
    })
    .await;
    let chains = chains(&[("liar", liar.url()), ("lagging", lagging.url()), ("alpha", world.url())]);
    assert_eq!(chains.head(CHAIN).await, Ok(world.pin(6).await));
    let error = chains.check_pin(&fork.pin(5).await).await.expect_err("one liar's word").to_string();
    assert!(error.contains("provider lagging: does not call block 5 final, but 2"), "{error}");
}

#[tokio::test]
async fn an_operator_that_lags_does_not_hold_the_others_back() {
    let (world, pin) = world().await;
    let old = world.rpc("eth_getBlockByNumber", json!(["0x1", false])).await;
    let (_lagging, chains) = three(&world, move |method, params, _| match method {
        "eth_getBlockByNumber" if params[0] == "finalized" => Say::Result(old.clone()),
        _ => Say::Truth,
    })
    .await;
    assert_eq!(chains.head(CHAIN).await, Ok(pin));
}

#[tokio::test]
async fn whatever_one_provider_does_instead_of_answering_two_others_suffice() {
    let (world, pin) = world().await;
    let nonsense: [Nonsense; 9] = [
        ("garbage", || Say::Text(StatusCode::OK, "<html>".into())),
        ("empty", || Say::Text(StatusCode::OK, String::new())),
        ("no result", || Say::Text(StatusCode::OK, r#"{"jsonrpc":"2.0","id":1}"#.into())),
        ("another type", || Say::Result(json!({"a": [1, 2, 3]}))),
        ("null", || Say::Result(Value::Null)),
        ("status", || Say::Text(StatusCode::TOO_MANY_REQUESTS, "slow down".into())),
        ("error", || Say::Error(-32603, "internal")),
        ("flood", || Say::Flood),
        ("silence", || Say::Nothing),
    ];
    for (what, say) in nonsense {
        let (liar, chains) = three(&world, move |_, _, _| say()).await;
        assert_eq!(chains.head(CHAIN).await, Ok(pin), "{what}");
        assert_eq!(chains.read(&pin, &BALANCE).await, Ok(hundred()), "{what}");
        chains.check_pin(&world.pin(4).await).await.expect(what);
        until(what, async || {
            matches!(chains.status()[0].providers[0].state, ProviderState::Down { .. }).then_some(())
        })
        .await;
        let alone = chains_of_one(&liar);
        let error = alone.read(&pin, &BALANCE).await.expect_err(what);
        assert!(matches!(error, ReadError::Unavailable { .. }), "{what}: {error}");
        alone.head(CHAIN).await.expect_err(what);
        alone.check_pin(&pin).await.expect_err(what);
    }
}

#[tokio::test]
async fn too_few_answers_are_an_error_that_names_each_operator() {
    let (world, pin) = world().await;
    let other = World::with(&AnvilConfig { chain_id: 5, ..AnvilConfig::default() });
    let gone = World::start();
    let refused = gone.url();
    drop(gone);
    let chains = chains(&[("alpha", refused), ("beta", other.url()), ("gamma", world.url())]);
    let expected = ["provider alpha: connection refused", "provider beta: is on chain 5, not 31337"];
    let read = chains.read(&pin, &BALANCE).await.expect_err("one is left").to_string();
    let head = chains.head(CHAIN).await.expect_err("one is left").to_string();
    let head_again = chains.check_pin(&pin).await.expect_err("one is left").to_string();
    for said in [read, head, head_again] {
        assert!(expected.iter().all(|fault| said.contains(fault)), "{said}");
        assert!(!said.contains("gamma"), "{said}");
    }
    assert_eq!(chains.status()[0].head, None);
}

#[tokio::test]
async fn a_silent_provider_does_not_use_up_the_time() {
    let (world, pin) = world().await;
    let (silent, chains) = three(&world, |_, _, _| Say::Truth).await;
    assert_eq!(chains.read(&pin, &BALANCE).await, Ok(hundred()));
    silent.behave(|_, _, _| Say::Nothing);
    let start = Instant::now();
    assert_eq!(chains.read(&pin, &BALANCE).await, Ok(hundred()));
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?} of 2 s", start.elapsed());
}

#[tokio::test]
async fn a_slow_answer_is_an_answer_until_the_timeout() {
    let (world, pin) = world().await;
    let slow = Proxy::start(world.url(), |method, _, _| match method {
        "eth_getBalance" => Say::Late(Duration::from_millis(500)),
        _ => Say::Truth,
    })
    .await;
    assert_eq!(chains_of_one(&slow).read(&pin, &BALANCE).await, Ok(hundred()));
    let impatient = start(ChainConfig { timeout_ms: 250, ..config(&[("slow", slow.url())]) });
    let error = impatient.read(&pin, &BALANCE).await.expect_err("too slow").to_string();
    assert!(error.ends_with("provider slow: no answer within 250 ms"), "{error}");
}

#[tokio::test]
async fn two_urls_of_one_operator_are_one_voice_and_stand_in_for_each_other() {
    let (world, pin) = world().await;
    let second = Proxy::honest(world.url()).await;
    let gone = World::start();
    let refused = gone.url();
    drop(gone);
    let one = chains(&[("alpha", refused.clone()), ("alpha", second.url())]);
    assert_eq!(one.head(CHAIN).await, Ok(pin));
    assert_eq!(one.read(&pin, &BALANCE).await, Ok(hundred()), "the second stands in");

    let two = chains(&[("alpha", world.url()), ("alpha", second.url()), ("beta", refused)]);
    two.read(&pin, &BALANCE).await.expect_err("one voice of two");
    two.head(CHAIN).await.expect_err("one voice of two");

    let shared = config(&[("alpha", world.url()), ("beta", world.url())]);
    let error = Chains::start(vec![shared]).expect_err("one endpoint under two names");
    assert_eq!(error.problem, ConfigProblem::SharedUrl);
}

#[tokio::test]
async fn a_provider_whose_chain_lost_the_pin_gives_no_logs_and_no_receipt() {
    let (world, pin) = world().await;
    let proxy = Proxy::honest(world.url()).await;
    let chains = start(ChainConfig { poll_interval_ms: 600_000, ..config(&[("alpha", proxy.url())]) });
    let logs = EvmRead::Logs {
        chain_id: CHAIN,
        addresses: vec![],
        topics: vec![],
        from_block: 0,
        to_block: pin.number,
    };
    let receipt = EvmRead::Receipt { chain_id: CHAIN, tx_hash: B256::ZERO };
    for read in [&logs, &receipt] {
        chains.read(&pin, read).await.expect("a value");
    }
    let truth = world.rpc("eth_getBlockByNumber", json!(["0x6", false])).await;
    proxy.behave(move |method, params, _| match method {
        "eth_getBlockByNumber" if params[0] == "0x6" => Say::Result(forged(&truth)),
        _ => Say::Truth,
    });
    for read in [&logs, &receipt] {
        let error = chains.read(&pin, read).await.expect_err("the pinned block is gone");
        assert_eq!(error, ReadError::Reorged { number: 6, hash: pin.hash });
    }
}

#[tokio::test]
async fn logs_that_were_not_asked_for_and_receipts_off_the_chain_are_refused() {
    let (world, _) = world().await;
    let token = world.token().await;
    let minted = token.mint(RICH, U256::ONE).send().await.expect("sent").get_receipt().await.expect("mined");
    let pin = world.finalize().await;
    let tx_hash = minted.transaction_hash;
    let liar = Proxy::start(world.url(), |method, _, truth| match method {
        "eth_getLogs" => {
            let mut log = truth["result"][0].clone();
            log["address"] = json!(Address::ZERO);
            Say::Result(json!([log]))
        }
        "eth_getTransactionReceipt" => {
            let mut receipt = truth["result"].clone();
            receipt["blockHash"] = json!(B256::repeat_byte(1));
            Say::Result(receipt)
        }
        _ => Say::Truth,
    })
    .await;
    let chains = chains_of_one(&liar);
    let logs = EvmRead::Logs {
        chain_id: CHAIN,
        addresses: vec![*token.address()],
        topics: vec![],
        from_block: 0,
        to_block: pin.number,
    };
    let error = chains.read(&pin, &logs).await.expect_err("another contract's log").to_string();
    assert!(error.ends_with("provider liar: false answer: a log of another contract"), "{error}");
    let receipt = EvmRead::Receipt { chain_id: CHAIN, tx_hash };
    chains.read(&pin, &receipt).await.expect_err("a receipt of a block that is not there");
    liar.behave(|_, _, _| Say::Truth);
    chains.read(&pin, &logs).await.expect("the truth");
    chains.read(&pin, &receipt).await.expect("the truth");
}

#[tokio::test]
async fn state_is_asked_for_by_hash_and_nothing_for_the_latest_block() {
    let (world, pin) = world().await;
    let proxy = Proxy::honest(world.url()).await;
    let chains = chains(&[("alpha", proxy.url())]);
    let (chain_id, address) = (CHAIN, RICH);
    let reads = [
        BALANCE,
        EvmRead::Nonce { chain_id, address },
        EvmRead::CodeHash { chain_id, address },
        EvmRead::Storage { chain_id, address, slot: B256::ZERO },
        EvmRead::Call { chain_id, to: address, data: vec![].into(), from: address },
    ];
    chains.check_pin(&pin).await.expect("it stands");
    for read in &reads {
        chains.read(&pin, read).await.expect("a value");
    }
    let requests = proxy.requests();
    let by_hash = format!(r#"{{"blockHash":"{}","requireCanonical":true}}"#, pin.hash);
    assert_eq!(requests.iter().filter(|request| request.contains(&by_hash)).count(), reads.len());
    for tag in ["latest", "pending", "safe"] {
        assert!(!requests.iter().any(|request| request.contains(tag)), "{tag}");
    }
}

#[tokio::test]
async fn credentials_of_an_url_are_in_no_error() {
    let (world, pin) = world().await;
    let proxy = Proxy::honest(world.url()).await;
    let url = format!("http://someone:hunter22@{}/v3/0123456789abcdef?key=hunter33", proxy.address());
    let chains = chains(&[("alpha", url.clone())]);
    assert_eq!(chains.read(&pin, &BALANCE).await, Ok(hundred()));
    let mut shown = Vec::new();
    proxy.behave(|_, _, _| Say::Text(StatusCode::UNAUTHORIZED, "bad key hunter33".into()));
    shown.push(format!("{:?}", chains.read(&pin, &BALANCE).await.expect_err("unauthorised")));
    proxy.behave(|_, _, _| Say::Error(-32005, "the key hunter33 at /v3/0123456789abcdef is over its limit"));
    shown.push(format!("{:?}", chains.read(&pin, &BALANCE).await.expect_err("over its limit")));
    shown.push(format!("{:?} {chains:?}", chains.status()));
    let gone = World::start();
    let url = url.replace(&proxy.address().to_string(), &gone.anvil.address().to_string());
    drop(gone);
    let chains = crate::world::chains(&[("alpha", url)]);
    shown.push(format!("{:?}", chains.read(&pin, &BALANCE).await.expect_err("down")));
    shown.push(format!("{:?} {chains:?}", chains.head(CHAIN).await.expect_err("down")));
    for text in shown {
        for secret in ["hunter22", "hunter33", "0123456789abcdef", "someone"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// What it is called, and what is said instead of an answer.
type Nonsense = (&'static str, fn() -> Say);

/// The block with another state, and a hash that fits.
fn forged(block: &Value) -> Value {
    let mut block = block.clone();
    block["stateRoot"] = json!(B256::repeat_byte(1));
    let header: Header = serde_json::from_value(block.clone()).expect("a header");
    block["hash"] = json!(header.inner.hash_slow());
    block
}

fn chains_of_one(proxy: &Proxy) -> Chains {
    chains(&[("liar", proxy.url())])
}
