//! The dev chain: anvil, with a real ERC-20 token on it.

use std::{path::Path, process::Command, time::Duration};

use alloy::{
    network::EthereumWallet,
    primitives::U256,
    providers::{Provider, ProviderBuilder},
    signers::local::PrivateKeySigner,
};
use anyhow::{Context, Result, bail};
use countersign_contracts::{
    TestToken,
    anvil::{AnvilConfig, DEVELOPMENT_KEYS, Mining},
};
use countersign_types::Address;
use tokio::time::{Instant, sleep};

use crate::{process::Process, settings::CHAIN_ID};

/// How long the chain may take to answer, or to mine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Starts anvil on a port: a block a second, final after four; its state is kept in a file.
pub fn start(port: u16, state: &Path, log: &Path) -> Result<Process> {
    start_chain(CHAIN_ID, port, Some(state), log)
}

/// Starts a chain with any id.
pub fn start_chain(chain_id: u64, port: u16, state: Option<&Path>, log: &Path) -> Result<Process> {
    let config = AnvilConfig {
        chain_id,
        port,
        slots_in_an_epoch: 2,
        mining: Mining::EverySeconds(1),
        state: state.map(Path::to_path_buf),
    };
    let mut command: Command = config.command()?;
    Process::start("anvil", &mut command, log)
}

/// Waits until the chain answers.
pub async fn wait(url: &str, anvil: &mut Process) -> Result<()> {
    let provider = ProviderBuilder::new().connect_http(url.parse()?);
    let until = Instant::now() + PATIENCE;
    loop {
        anvil
            .check()
            .context("its port may be taken: free it, or choose anew with `testnet/down --purge`")?;
        if provider.get_chain_id().await.is_ok() {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!("the dev chain does not answer at {url}");
        }
        sleep(POLL).await;
    }
}

/// Deploys the token, with everything minted to anvil's first account.
pub async fn deploy_token(url: &str) -> Result<Address> {
    let provider = ProviderBuilder::new().wallet(wallet()?).connect_http(url.parse()?);
    let token = TestToken::deploy(
        provider,
        "Test Token".into(),
        "TEST".into(),
        18,
        U256::from(1_000_000u64) * U256::from(10).pow(U256::from(18)),
    );
    let token = tokio::time::timeout(PATIENCE, token).await.context("the token was not mined")??;
    Ok(*token.address())
}

/// Whether there is code at the token's address.
pub async fn has_token(url: &str, token: Address) -> Result<bool> {
    let provider = ProviderBuilder::new().connect_http(url.parse()?);
    Ok(!provider.get_code_at(token).await?.is_empty())
}

/// Sends tokens from anvil's first account, waits until the block is final, and returns its number.
pub async fn fund(url: &str, token: Address, to: Address, amount: U256) -> Result<u64> {
    let provider = ProviderBuilder::new().wallet(wallet()?).connect_http(url.parse()?);
    let token = TestToken::new(token, &provider);
    let pending = token.transfer(to, amount).send().await?;
    let receipt = tokio::time::timeout(PATIENCE, pending.get_receipt()).await.context("not mined")??;
    let block = receipt.block_number.context("a receipt without a block")?;
    wait_final(url, block).await?;
    Ok(block)
}

/// Waits until a block is final.
pub async fn wait_final(url: &str, block: u64) -> Result<()> {
    let provider = ProviderBuilder::new().connect_http(url.parse()?);
    let until = Instant::now() + PATIENCE;
    loop {
        let head = provider.get_block_by_number(alloy::eips::BlockNumberOrTag::Finalized).await?;
        if head.is_some_and(|head| head.header.number >= block) {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!("block {block} is not final after {} s", PATIENCE.as_secs());
        }
        sleep(POLL).await;
    }
}

fn wallet() -> Result<EthereumWallet> {
    Ok(EthereumWallet::from(PrivateKeySigner::from_bytes(&DEVELOPMENT_KEYS[0])?))
}
