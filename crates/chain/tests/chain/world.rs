//! A development chain, and a node's view of it.

use std::time::{Duration, Instant};

use alloy::{
    network::EthereumWallet,
    primitives::{Address, U256},
    providers::{Provider, ProviderBuilder},
    rpc::types::Header,
    signers::local::PrivateKeySigner,
};
use countersign_chain::{ChainConfig, Chains, ProviderConfig};
use countersign_contracts::{
    TestToken,
    anvil::{Anvil, AnvilConfig, DEVELOPMENT_KEYS},
};
use countersign_types::Pin;
use serde_json::{Value, json};

pub(crate) const CHAIN: u64 = 31337;
/// How many blocks the final block is behind the newest.
pub(crate) const FINALITY: u64 = 4;
/// The bound of every wait; none takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) anvil: Anvil,
    client: reqwest::Client,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(&AnvilConfig { chain_id: CHAIN, ..AnvilConfig::default() })
    }

    pub(crate) fn with(config: &AnvilConfig) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { anvil: Anvil::start(config).expect("a development chain"), client }
    }

    pub(crate) fn url(&self) -> String {
        self.anvil.url()
    }

    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let sent = self.client.post(self.url()).json(&request).send().await.expect("sent");
        let mut answer: Value = sent.json().await.expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        self.rpc("anvil_mine", json!([format!("{blocks:#x}")])).await;
    }

    pub(crate) async fn block_number(&self) -> u64 {
        let number = self.rpc("eth_blockNumber", json!([])).await;
        number.as_str().expect("text").parse::<U256>().expect("a number").to()
    }

    /// The block as this chain has it, whether final or not.
    pub(crate) async fn pin(&self, number: u64) -> Pin {
        let block = self.rpc("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
        let header: Header = serde_json::from_value(block).expect("a header");
        Pin { chain_id: CHAIN, number, hash: header.hash, timestamp: header.inner.timestamp }
    }

    /// Mines until everything so far is final, and pins the first block that has all of it.
    pub(crate) async fn finalize(&self) -> Pin {
        self.mine(1).await;
        let newest = self.block_number().await;
        self.mine(FINALITY).await;
        self.pin(newest).await
    }

    pub(crate) async fn set_code(&self, address: Address, code: &str) {
        self.rpc("anvil_setCode", json!([address, code])).await;
    }

    pub(crate) fn wallet(&self) -> (Address, impl Provider + Clone + use<>) {
        let signer = PrivateKeySigner::from_bytes(&DEVELOPMENT_KEYS[0]).expect("a legal key");
        let address = signer.address();
        let provider = ProviderBuilder::new()
            .with_simple_nonce_management()
            .wallet(EthereumWallet::from(signer))
            .connect_http(self.url().parse().expect("a URL"));
        (address, provider)
    }

    pub(crate) async fn token(&self) -> TestToken::TestTokenInstance<impl Provider + Clone + use<>> {
        let (_, provider) = self.wallet();
        let supply = U256::from(1_000_000);
        TestToken::deploy(provider, "Test".into(), "TST".into(), 18, supply).await.expect("deployed")
    }
}

/// What most tests configure: short intervals, and no step of finality to spare.
pub(crate) fn config(providers: &[(&str, String)]) -> ChainConfig {
    let providers = providers.iter().map(|(operator, url)| ProviderConfig::new(*operator, url)).collect();
    ChainConfig {
        finality_step_blocks: 2,
        poll_interval_ms: 50,
        timeout_ms: 2_000,
        ..ChainConfig::new(CHAIN, providers)
    }
}

pub(crate) fn chains(providers: &[(&str, String)]) -> Chains {
    start(config(providers))
}

pub(crate) fn start(config: ChainConfig) -> Chains {
    Chains::start(vec![config]).expect("a legal configuration")
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still not so after {PATIENCE:?}: {what}");
}
