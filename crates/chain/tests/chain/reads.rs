//! Every kind of read on a real chain.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256, keccak256},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError, SolEvent},
};
use countersign_chain::{Chains, InvalidRead, ReadError};
use countersign_contracts::TestToken;
use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue, MAX_VALUE_BYTES},
};
use serde_json::json;

use crate::world::{CHAIN, World, chains};

const NOBODY: Address = Address::repeat_byte(0x77);
const CONTRACT: Address = Address::repeat_byte(0xcc);

fn call(to: Address, data: impl Into<Bytes>) -> EvmRead {
    EvmRead::Call { chain_id: CHAIN, to, data: data.into(), from: Address::ZERO }
}

fn returned(value: EvmValue) -> Bytes {
    let EvmValue::Call { reverted: false, data } = value else { panic!("not a result: {value:?}") };
    data
}

#[tokio::test]
async fn an_absent_account_has_nothing() {
    let world = World::start();
    world.mine(10).await;
    let chains = chains(&[("alpha", world.url())]);
    let pin = chains.head(CHAIN).await.expect("a head");
    let (chain_id, address, slot) = (CHAIN, NOBODY, B256::repeat_byte(3));
    let expected = [
        (EvmRead::Balance { chain_id, address }, EvmValue::Balance(U256::ZERO)),
        (EvmRead::Nonce { chain_id, address }, EvmValue::Nonce(0)),
        (EvmRead::CodeHash { chain_id, address }, EvmValue::CodeHash(keccak256([]))),
        (EvmRead::Storage { chain_id, address, slot }, EvmValue::Storage(B256::ZERO)),
        (call(address, [1, 2, 3, 4]), EvmValue::Call { reverted: false, data: Bytes::new() }),
        (EvmRead::Receipt { chain_id, tx_hash: slot }, EvmValue::Receipt(None)),
    ];
    for (read, value) in expected {
        assert_eq!(chains.read(&pin, &read).await.expect("a value"), value, "{read:?}");
    }
}

#[tokio::test]
async fn accounts_are_read_as_they_were_at_the_pin() {
    let world = World::start();
    let (address, provider) = world.wallet();
    let code = "0x60006000fd";
    let slot = B256::with_last_byte(9);
    world.set_code(CONTRACT, code).await;
    world.rpc("anvil_setStorageAt", json!([CONTRACT, slot, B256::repeat_byte(5)])).await;
    send(&provider, transfer(NOBODY, 1_000)).await;
    let pin = world.finalize().await;
    send(&provider, transfer(NOBODY, 1)).await;
    world.set_code(CONTRACT, "0x00").await;
    world.rpc("anvil_setStorageAt", json!([CONTRACT, slot, B256::repeat_byte(6)])).await;
    world.finalize().await;

    let chains = chains(&[("alpha", world.url())]);
    let chain_id = CHAIN;
    let expected = [
        (EvmRead::Balance { chain_id, address: NOBODY }, EvmValue::Balance(U256::from(1_000))),
        (EvmRead::Nonce { chain_id, address }, EvmValue::Nonce(1)),
        (
            EvmRead::CodeHash { chain_id, address: CONTRACT },
            EvmValue::CodeHash(keccak256([0x60, 0, 0x60, 0, 0xfd])),
        ),
        (EvmRead::Storage { chain_id, address: CONTRACT, slot }, EvmValue::Storage(B256::repeat_byte(5))),
    ];
    for (read, value) in expected {
        assert_eq!(chains.read(&pin, &read).await.expect("a value"), value, "{read:?}");
    }
}

#[tokio::test]
async fn a_token_balance_is_read_through_a_call() {
    let world = World::start();
    let token = world.token().await;
    token.mint(NOBODY, U256::from(250)).send().await.expect("sent").get_receipt().await.expect("mined");
    let pin = world.finalize().await;
    token.mint(NOBODY, U256::from(1)).send().await.expect("sent").get_receipt().await.expect("mined");
    world.finalize().await;
    let chains = chains(&[("alpha", world.url())]);
    let read = call(*token.address(), TestToken::balanceOfCall { account: NOBODY }.abi_encode());
    let data = returned(chains.read(&pin, &read).await.expect("a value"));
    let balance = TestToken::balanceOfCall::abi_decode_returns(&data).expect("a balance");
    assert_eq!(balance, U256::from(250));
}

#[tokio::test]
async fn a_call_is_made_as_whom_the_read_says() {
    let world = World::start();
    world.set_code(CONTRACT, "0x3360005260206000f3").await;
    let pin = world.finalize().await;
    let chains = chains(&[("alpha", world.url())]);
    for from in [Address::ZERO, NOBODY] {
        let read = EvmRead::Call { chain_id: CHAIN, to: CONTRACT, data: Bytes::new(), from };
        let data = returned(chains.read(&pin, &read).await.expect("a value"));
        assert_eq!(Address::from_word(B256::from_slice(&data)), from);
    }
}

#[tokio::test]
async fn a_revert_is_a_value_and_its_data_is_kept() {
    let world = World::start();
    let token = world.token().await;
    world.set_code(CONTRACT, "0x60006000fd").await;
    let pin = world.finalize().await;
    let chains = chains(&[("alpha", world.url())]);

    let read = call(*token.address(), TestToken::mintCall { to: NOBODY, value: U256::ONE }.abi_encode());
    let expected = TestToken::NotMinter { caller: Address::ZERO }.abi_encode().into();
    let value = chains.read(&pin, &read).await.expect("a value");
    assert_eq!(value, EvmValue::Call { reverted: true, data: expected });

    let value = chains.read(&pin, &call(CONTRACT, [])).await.expect("a value");
    assert_eq!(value, EvmValue::Call { reverted: true, data: Bytes::new() });
}

#[tokio::test]
async fn a_call_that_fails_otherwise_is_no_value() {
    let world = World::start();
    let (out_of_gas, invalid) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xa2));
    world.set_code(out_of_gas, "0x5b600056").await;
    world.set_code(invalid, "0xfe").await;
    let pin = world.finalize().await;
    let chains = chains(&[("alpha", world.url())]);
    for contract in [out_of_gas, invalid] {
        let error = chains.read(&pin, &call(contract, [])).await.expect_err("no value");
        assert!(matches!(error, ReadError::Unavailable { .. }), "{error}");
        assert!(
            error.to_string().starts_with("evm.eth-call: no answer of 1 operators: provider alpha: error")
        );
    }
}

#[tokio::test]
async fn a_value_that_no_record_may_bring_is_refused() {
    let world = World::start();
    // Returns as many bytes as the first word of calldata says.
    world.set_code(CONTRACT, "0x6000356000f3").await;
    let pin = world.finalize().await;
    let chains = chains(&[("alpha", world.url())]);
    let read = |bytes: usize| call(CONTRACT, U256::from(bytes).to_be_bytes::<32>());
    let fits = MAX_VALUE_BYTES - 96;
    assert_eq!(returned(chains.read(&pin, &read(fits)).await.expect("a value")).len(), fits);
    let error = chains.read(&pin, &read(fits + 1)).await.expect_err("too large");
    assert_eq!(error, ReadError::TooLarge { got: MAX_VALUE_BYTES + 32, limit: MAX_VALUE_BYTES });
}

#[tokio::test]
async fn logs_are_those_of_the_range_and_the_filter() {
    let world = World::start();
    let (holder, _) = world.wallet();
    let token = world.token().await;
    let first = world.block_number().await + 1;
    for value in [10, 20, 30] {
        token.mint(NOBODY, U256::from(value)).send().await.expect("sent").get_receipt().await.expect("mined");
    }
    token.approve(NOBODY, U256::ONE).send().await.expect("sent").get_receipt().await.expect("mined");
    let pin = world.finalize().await;
    let chains = chains(&[("alpha", world.url())]);
    let transfer = TestToken::Transfer::SIGNATURE_HASH;
    let logs = async |topics: &[Vec<B256>], from_block, to_block| {
        logs(&chains, &pin, vec![*token.address()], topics, from_block, to_block).await
    };

    let amounts = |logs: &[countersign_types::evm::Log]| {
        logs.iter().map(|log| U256::from_be_slice(&log.data).to::<u64>()).collect::<Vec<_>>()
    };
    let minted = logs(&[vec![transfer], vec![], vec![NOBODY.into_word()]], first, pin.number).await;
    assert_eq!(amounts(&minted), [10, 20, 30]);
    assert_eq!(minted[0].block_number, first);
    assert_eq!(minted[0].topics, [transfer, B256::ZERO, NOBODY.into_word()]);
    let middle = logs(&[vec![transfer]], first + 1, first + 1).await;
    assert_eq!(amounts(&middle), [20]);
    let either = [transfer, TestToken::Approval::SIGNATURE_HASH].to_vec();
    assert_eq!(logs(&[either], first, pin.number).await.len(), 4);
    assert_eq!(logs(&[vec![], vec![], vec![holder.into_word()]], first, pin.number).await, []);
    assert_eq!(logs(&[], 0, pin.number).await.len(), 5, "the deployment's is there too");

    let beyond = EvmRead::Logs {
        chain_id: CHAIN,
        addresses: vec![],
        topics: vec![],
        from_block: 0,
        to_block: pin.number + 1,
    };
    let error = chains.read(&pin, &beyond).await.expect_err("above the pin");
    let range = InvalidRead::LogRange { from: 0, to: pin.number + 1, pin: pin.number };
    assert_eq!(error, ReadError::Invalid(range));
}

#[tokio::test]
async fn a_receipt_is_there_once_its_block_is_at_or_below_the_pin() {
    let world = World::start();
    let (_, provider) = world.wallet();
    let token = world.token().await;
    let before = world.pin(world.block_number().await).await;
    let minted = token.mint(NOBODY, U256::from(10)).send().await.expect("sent");
    let minted = minted.get_receipt().await.expect("mined");
    let mut refused = TransactionRequest::default().with_to(*token.address()).with_gas_limit(200_000);
    refused.set_input(TestToken::transferCall { to: Address::ZERO, value: U256::ONE }.abi_encode());
    let refused = send(&provider, refused).await;
    let pin = world.finalize().await;
    let chains = chains(&[("alpha", world.url())]);
    let receipt = async |pin, tx_hash| {
        let value = chains.read(pin, &EvmRead::Receipt { chain_id: CHAIN, tx_hash }).await.expect("a value");
        let EvmValue::Receipt(receipt) = value else { panic!("not a receipt: {value:?}") };
        receipt
    };

    let seen = receipt(&pin, minted.transaction_hash).await.expect("a receipt");
    assert!(seen.success);
    assert_eq!(Some(seen.block_number), minted.block_number);
    assert_eq!(Some(seen.block_hash), minted.block_hash);
    assert_eq!(seen.logs.len(), 1);
    assert_eq!(U256::from_be_slice(&seen.logs[0].data), U256::from(10));
    assert!(!receipt(&pin, refused).await.expect("a receipt").success);
    assert_eq!(receipt(&before, minted.transaction_hash).await, None, "its block is above the pin");
}

#[tokio::test]
async fn a_read_of_another_chain_than_the_pins_is_refused() {
    let world = World::start();
    let chains = chains(&[("alpha", world.url())]);
    let pin = chains.head(CHAIN).await.expect("a head");
    let read = EvmRead::Balance { chain_id: 1, address: NOBODY };
    let error = chains.read(&pin, &read).await.expect_err("another chain");
    assert_eq!(error, ReadError::Invalid(InvalidRead::OtherChain { pin: CHAIN, read: 1 }));
    let error = chains.read(&Pin { chain_id: 1, ..pin }, &read).await.expect_err("not configured");
    assert_eq!(error, ReadError::UnknownChain(1));
}

async fn logs(
    chains: &Chains,
    pin: &Pin,
    addresses: Vec<Address>,
    topics: &[Vec<B256>],
    from_block: u64,
    to_block: u64,
) -> Vec<countersign_types::evm::Log> {
    let topics = topics.to_vec();
    let read = EvmRead::Logs { chain_id: CHAIN, addresses, topics, from_block, to_block };
    let value = chains.read(pin, &read).await.expect("a value");
    let EvmValue::Logs(logs) = value else { panic!("not logs: {value:?}") };
    logs
}

fn transfer(to: Address, wei: u64) -> TransactionRequest {
    TransactionRequest::default().with_to(to).with_value(U256::from(wei))
}

async fn send(provider: &impl Provider, transaction: TransactionRequest) -> B256 {
    let pending = provider.send_transaction(transaction).await.expect("sent");
    pending.get_receipt().await.expect("mined").transaction_hash
}
