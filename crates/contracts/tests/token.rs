//! The token on a real development chain.

use alloy::{
    network::EthereumWallet,
    primitives::{Address, U256},
    providers::{Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use countersign_contracts::{
    TestToken,
    anvil::{Anvil, AnvilConfig, DEVELOPMENT_KEYS},
};

fn signer(index: usize) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&DEVELOPMENT_KEYS[index]).expect("a legal key")
}

fn provider(anvil: &Anvil, index: usize) -> impl Provider + Clone {
    let wallet = EthereumWallet::from(signer(index));
    ProviderBuilder::new()
        .with_simple_nonce_management()
        .wallet(wallet)
        .connect_http(anvil.url().parse().expect("a URL"))
}

#[tokio::test]
async fn the_token_is_an_erc20_whose_deployer_mints() {
    let anvil = Anvil::start(&AnvilConfig::default()).expect("a development chain");
    let (deployer, other) = (provider(&anvil, 0), provider(&anvil, 1));
    let supply = U256::from(1_000);
    let token = TestToken::deploy(&deployer, "Test".into(), "TST".into(), 6, supply).await.expect("deployed");
    let theirs = TestToken::new(*token.address(), &other);
    let (a, b) = (signer(0).address(), signer(1).address());

    assert_eq!(token.name().call().await.expect("a name"), "Test");
    assert_eq!(token.symbol().call().await.expect("a symbol"), "TST");
    assert_eq!(token.decimals().call().await.expect("decimals"), 6);
    assert_eq!(token.minter().call().await.expect("a minter"), a);

    send(token.transfer(b, U256::from(300))).await;
    send(token.mint(b, U256::from(5))).await;
    send(theirs.approve(a, U256::from(100))).await;
    send(token.transferFrom(b, a, U256::from(60))).await;
    assert_eq!(token.balanceOf(a).call().await.expect("a balance"), U256::from(760));
    assert_eq!(token.balanceOf(b).call().await.expect("a balance"), U256::from(245));
    assert_eq!(token.allowance(b, a).call().await.expect("an allowance"), U256::from(40));
    assert_eq!(token.totalSupply().call().await.expect("a supply"), U256::from(1_005));

    assert!(theirs.mint(b, U256::ONE).call().await.is_err(), "another minted");
    assert!(theirs.transfer(a, U256::from(246)).call().await.is_err(), "more than the balance went");
    assert!(theirs.transfer(Address::ZERO, U256::ONE).call().await.is_err(), "tokens went nowhere");
    assert!(token.transferFrom(b, a, U256::from(41)).call().await.is_err(), "more than the allowance went");
    assert!(token.mint(b, U256::MAX).call().await.is_err(), "the supply overflowed");
}

async fn send<P: Provider, C: alloy::sol_types::SolCall>(
    call: alloy::contract::CallBuilder<P, std::marker::PhantomData<C>>,
) {
    let receipt = call.send().await.expect("sent").get_receipt().await.expect("mined");
    assert!(receipt.status(), "the transaction failed");
}

#[test]
fn a_dropped_chain_is_gone() {
    let anvil = Anvil::start(&AnvilConfig::default()).expect("a development chain");
    let address = anvil.address();
    std::net::TcpStream::connect(address).expect("it listens");
    drop(anvil);
    std::net::TcpStream::connect(address).expect_err("nothing listens there");
}

#[test]
fn a_port_in_use_is_an_error_and_not_a_wait() {
    let anvil = Anvil::start(&AnvilConfig::default()).expect("a development chain");
    let taken = AnvilConfig { port: anvil.address().port(), ..AnvilConfig::default() };
    Anvil::start(&taken).expect_err("the port is taken");
}
