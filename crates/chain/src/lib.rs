//! On-chain state through alloy: pins, a quorum of providers, reads.
//!
//! A node believes about a chain what a quorum of its own, independent providers says: [`Chains`] asks them,
//! recomputes every header's hash, and compares. It knows three things:
//!
//! - [`Chains::head`]: the final block that this node would pin;
//! - [`Chains::check_pin`]: whether a block that somebody else pinned stands in this node's own view;
//! - [`Chains::read`]: a piece of state at exactly that block (EIP-1898, by hash, and only while it is part
//!   of the chain).
//!
//! Nothing falls back to a later block. A provider that lags, lies, is silent, is on another chain or sends
//! garbage has no voice; where too few are left, the answer is an error that names each and what it did.
//! Requests go out with bounds on time, size and number (`rpc`), which alloy's own HTTP transport lacks;
//! headers, logs and their hashes are alloy's.

use std::{collections::BTreeMap, sync::Arc};

use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue},
};
use tokio::task::JoinSet;

mod call;
mod chain;
mod config;
mod endpoint;
mod examine;
mod fault;
mod head;
mod logs;
mod name;
mod quorum;
mod read;
mod rpc;

pub use chain::{ChainError, ChainStatus, PinError, ProviderStatus};
pub use config::{
    ChainConfig, ConfigError, ConfigProblem, MAX_CHAINS, MAX_OPERATOR_BYTES, MAX_PROVIDERS, ProviderConfig,
    ProviderUrl, validate as check_config,
};
pub use endpoint::ProviderState;
pub use examine::{ClockDifference, Examined, ExaminedProvider, Said, examine};
pub use fault::{Fault, Faults, OperatorFault};
pub use name::ProviderName;
pub use read::{
    Answer, InvalidRead, MAX_CALLDATA_BYTES, MAX_LOG_ALTERNATIVES, MAX_TOPICS, ReadError, validate,
};

use chain::Chain;

/// The chains that a node reads. Dropping it ends the tasks that follow their heads.
#[derive(Debug)]
pub struct Chains {
    chains: BTreeMap<u64, Arc<Chain>>,
    _following: JoinSet<()>,
}

impl Chains {
    /// Starts to follow these chains. Providers that are down, or on another chain, do not stop it: they are
    /// tried again for as long as it runs. Call it within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and how.
    pub fn start(configs: Vec<ChainConfig>) -> Result<Self, ConfigError> {
        config::validate(&configs)?;
        let of = |key: &str| {
            let key = key.to_string();
            move |problem| ConfigError { key, problem }
        };
        let client = rpc::client().map_err(|error| ConfigProblem::Client(error.to_string()));
        let client = client.map_err(of("chains"))?;
        let mut chains = BTreeMap::new();
        let mut following = JoinSet::new();
        for (index, config) in configs.iter().enumerate() {
            let chain = Chain::new(config, &client).map_err(of(&format!("chains[{index}].providers")))?;
            let chain = Arc::new(chain);
            let followed = Arc::clone(&chain);
            following.spawn(async move { followed.keep_looking().await });
            chains.insert(chain.chain_id(), chain);
        }
        Ok(Self { chains, _following: following })
    }

    /// The final block in this node's own view: what it pins as coordinator. Usually at once; a round trip
    /// to the providers where the last look is old.
    ///
    /// # Errors
    ///
    /// The chain is not configured, or no block has a quorum.
    pub async fn head(&self, chain_id: u64) -> Result<Pin, ChainError> {
        self.chain(chain_id).ok_or(ChainError::UnknownChain(chain_id))?.head().await
    }

    /// Checks that a pinned block is final in this node's own view, with that hash and timestamp, and at most
    /// two finality steps behind its head. Where the pin is ahead, the providers are asked once more. A block
    /// that was checked before costs no request.
    ///
    /// # Errors
    ///
    /// Why it does not stand; the node abstains.
    pub async fn check_pin(&self, pin: &Pin) -> Result<(), PinError> {
        let chain = self.chain(pin.chain_id).ok_or(ChainError::UnknownChain(pin.chain_id))?;
        chain.check_pin(pin).await
    }

    /// Reads at a pinned block. The pin should have been checked: this asks for state at its hash and does not
    /// ask whether it is final. One request to each of a quorum of operators; logs and receipts need one or
    /// two more, because they are not asked for by hash.
    ///
    /// A call that reverts is a value. Any other failure of a call is none.
    ///
    /// # Errors
    ///
    /// Why there is no value that a quorum of operators gives.
    pub async fn read(&self, pin: &Pin, read: &EvmRead) -> Result<EvmValue, ReadError> {
        validate(pin, read)?;
        self.chain(pin.chain_id).ok_or(ReadError::UnknownChain(pin.chain_id))?.read(pin, read).await
    }

    /// How chains and providers are, as last seen; asks nobody.
    pub fn status(&self) -> Vec<ChainStatus> {
        self.chains.values().map(|chain| chain.status()).collect()
    }

    fn chain(&self, chain_id: u64) -> Option<&Arc<Chain>> {
        self.chains.get(&chain_id)
    }
}
