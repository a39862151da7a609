//! Heads, and pins that stand or do not.

use countersign_chain::{ChainConfig, ChainError, Chains, Fault, PinError, ProviderState, ReadError};
use countersign_contracts::anvil::AnvilConfig;
use countersign_types::{Address, B256, Pin, evm::EvmRead};
use serde_json::json;

use crate::{
    proxy::Proxy,
    world::{CHAIN, FINALITY, World, chains, config, start, until},
};

#[tokio::test]
async fn the_head_is_the_final_block() {
    let world = World::start();
    world.mine(10).await;
    let chains = chains(&[("alpha", world.url())]);
    let head = chains.head(CHAIN).await.expect("a head");
    assert_eq!(head, world.pin(10 - FINALITY).await);
    chains.check_pin(&head).await.expect("the own head stands");
    world.mine(3).await;
    until("the head follows", async || {
        (chains.head(CHAIN).await.expect("a head").number == 13 - FINALITY).then_some(())
    })
    .await;
    assert_eq!(chains.head(1).await, Err(ChainError::UnknownChain(1)));
}

#[tokio::test]
async fn a_pin_ahead_of_the_last_look_makes_the_node_look_again() {
    let world = World::start();
    world.mine(10).await;
    let chains = start(ChainConfig { poll_interval_ms: 600_000, ..config(&[("alpha", world.url())]) });
    assert_eq!(chains.head(CHAIN).await.expect("a head").number, 6);
    world.mine(2).await;
    assert_eq!(chains.head(CHAIN).await.expect("a head").number, 6, "the head is cached");
    chains.check_pin(&world.pin(8).await).await.expect("final by now");
    assert_eq!(chains.head(CHAIN).await.expect("a head").number, 8);
}

#[tokio::test]
async fn a_block_that_is_not_final_here_is_not_accepted() {
    let world = World::start();
    world.mine(10).await;
    let chains = chains(&[("alpha", world.url())]);
    let ahead = world.pin(7).await;
    let refused = chains.check_pin(&ahead).await.expect_err("not final");
    assert_eq!(refused, PinError::Lagging { own: 6, pinned: 7 });
}

#[tokio::test]
async fn a_pin_more_than_two_steps_behind_is_too_old() {
    let world = World::start();
    world.mine(20).await;
    let chains = chains(&[("alpha", world.url())]);
    chains.check_pin(&world.pin(12).await).await.expect("two steps of two blocks behind 16");
    let refused = chains.check_pin(&world.pin(11).await).await.expect_err("one block more");
    assert_eq!(refused, PinError::TooOld { own: 16, pinned: 11, limit: 4 });
}

#[tokio::test]
async fn a_pin_with_another_hash_or_timestamp_is_another_block() {
    let world = World::start();
    world.mine(10).await;
    let chains = chains(&[("alpha", world.url())]);
    let own = world.pin(5).await;
    chains.check_pin(&own).await.expect("it stands");
    let false_hash = Pin { hash: B256::repeat_byte(1), ..own };
    let false_time = Pin { timestamp: own.timestamp + 1, ..own };
    for pinned in [false_hash, false_time] {
        let refused = chains.check_pin(&pinned).await.expect_err("another block");
        assert_eq!(refused, PinError::OtherBlock { own, pinned });
    }
    let elsewhere = Pin { chain_id: 1, ..own };
    let refused = chains.check_pin(&elsewhere).await.expect_err("another chain");
    assert_eq!(refused, PinError::NoView(ChainError::UnknownChain(1)));
}

#[tokio::test]
async fn a_block_that_was_checked_costs_no_request() {
    let world = World::start();
    world.mine(10).await;
    let proxy = Proxy::honest(world.url()).await;
    let chains = start(ChainConfig { poll_interval_ms: 600_000, ..config(&[("alpha", proxy.url())]) });
    let (head, older) = (chains.head(CHAIN).await.expect("a head"), world.pin(4).await);
    chains.check_pin(&older).await.expect("it stands");
    let before = proxy.requests().len();
    for _ in 0..100 {
        chains.check_pin(&head).await.expect("it stands");
        chains.check_pin(&older).await.expect("it stands");
    }
    assert_eq!(proxy.requests().len(), before);
}

#[tokio::test]
async fn after_a_reorg_the_pin_falls_and_reads_at_it_are_no_values() {
    let world = World::start();
    world.mine(10).await;
    let chains = chains(&[("alpha", world.url())]);
    let pin = chains.head(CHAIN).await.expect("a head");
    let read = EvmRead::Balance { chain_id: CHAIN, address: Address::ZERO };
    chains.read(&pin, &read).await.expect("a value before");

    world.rpc("anvil_reorg", json!([8, []])).await;
    let refused = chains.read(&pin, &read).await.expect_err("a read at a block that is gone");
    assert_eq!(refused, ReadError::Reorged { number: pin.number, hash: pin.hash });
    let refused = until("the pin falls", async || chains.check_pin(&pin).await.err()).await;
    assert!(matches!(refused, PinError::OtherBlock { .. }), "{refused}");
    let head = chains.head(CHAIN).await.expect("a head");
    assert_eq!(head, world.pin(head.number).await);
    chains.read(&head, &read).await.expect("a value at the new block");
}

#[tokio::test]
async fn a_provider_of_another_chain_counts_as_down() {
    let world = World::with(&AnvilConfig { chain_id: 5, ..AnvilConfig::default() });
    let chains = chains(&[("alpha", world.url())]);
    let error = chains.head(CHAIN).await.expect_err("no provider of the chain").to_string();
    assert!(error.ends_with("provider alpha: is on chain 5, not 31337"), "{error}");
    let state = chains.status().remove(0).providers.remove(0).state;
    assert_eq!(state, ProviderState::WrongChain { expected: CHAIN, got: 5 });
    let read = EvmRead::Balance { chain_id: CHAIN, address: Address::ZERO };
    let error = chains.read(&world.pin(0).await, &read).await.expect_err("nobody to ask").to_string();
    assert!(error.contains("provider alpha: is on chain 5, not 31337"), "{error}");
}

#[tokio::test]
async fn a_provider_that_comes_back_is_used_again_unless_as_another_chain() {
    let world = World::start();
    let (url, port) = (world.url(), world.anvil.address().port());
    let chains = chains(&[("alpha", url.clone())]);
    chains.head(CHAIN).await.expect("a head");
    drop(world);
    let error = until("it is down", async || chains.head(CHAIN).await.err()).await.to_string();
    assert!(error.ends_with("provider alpha: connection refused"), "{error}");

    let other = World::with(&AnvilConfig { chain_id: 5, port, ..AnvilConfig::default() });
    until("it is another chain", async || {
        matches!(state(&chains), ProviderState::WrongChain { got: 5, .. }).then_some(())
    })
    .await;
    drop(other);

    let world = World::with(&AnvilConfig { port, ..AnvilConfig::default() });
    world.mine(10).await;
    let head =
        until("it is back", async || chains.head(CHAIN).await.ok().filter(|head| head.number == 6)).await;
    assert_eq!(head, world.pin(6).await);
}

#[tokio::test]
async fn chains_start_without_their_providers_and_find_them_later() {
    let reserved = World::start();
    let (url, port) = (reserved.url(), reserved.anvil.address().port());
    drop(reserved);
    let chains = chains(&[("alpha", url)]);
    chains.head(CHAIN).await.expect_err("nobody there");
    let _world = World::with(&AnvilConfig { port, ..AnvilConfig::default() });
    until("the chain is found", async || chains.head(CHAIN).await.ok()).await;
    until("it is shown", async || matches!(state(&chains), ProviderState::Ready { .. }).then_some(())).await;
    assert_eq!(chains.status()[0].head, Some(0));
}

#[tokio::test]
async fn a_provider_whose_final_block_is_old_lags() {
    let world = World::start();
    let chains = start(ChainConfig { max_head_age_s: 1, ..config(&[("alpha", world.url())]) });
    let error = until("the block is two seconds old", async || chains.head(CHAIN).await.err()).await;
    let ChainError::NoQuorum { faults, .. } = error else { panic!("{error}") };
    assert!(matches!(faults.0[0].fault, Fault::Lagging { number: 0, age_s: 2.. }), "{faults}");
    assert!(matches!(state(&chains), ProviderState::Lagging { finalized: 0, .. }));
}

#[tokio::test]
async fn nothing_is_asked_after_the_chains_are_dropped() {
    let world = World::start();
    let proxy = Proxy::honest(world.url()).await;
    let chains = chains(&[("alpha", proxy.url())]);
    until("it is polled", async || (proxy.requests().len() > 4).then_some(())).await;
    drop(chains);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let after = proxy.requests().len();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(proxy.requests().len(), after);
}

fn state(chains: &Chains) -> ProviderState {
    chains.status().remove(0).providers.remove(0).state
}
