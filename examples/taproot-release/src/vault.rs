//! The key, and the question.

use anyhow::{Context, Result};
use bitcoin::{Address, Amount, Network, ScriptBuf, Transaction, address::NetworkUnchecked};
use countersign_client::{BitcoinNetwork, Client, DerivedKey, LocalSigner};
use countersign_types::{ActionId, Bytes, KeySpec, PayloadKind, Scheme};
use example_testnet_folder::{Asked, Folder, Source, ask, publish};
use serde_json::json;

use crate::spend::Spend;

/// The most that is left as a fee.
pub(crate) const MAX_FEE: Amount = Amount::from_sat(5_000);
/// The price that the policy goes by.
const PRICE: &str = "https://prices.test/v1/prices/BTC-USD";
/// How far the agreed price may lie from each node's own, in hundredths of a per cent.
const TOLERANCE_BPS: u32 = 50;

const ACTION: Source = Source::Script {
    manifest: include_str!("../../../actions/taproot-release/manifest.toml"),
    script: include_str!("../../../actions/taproot-release/taproot-release.js"),
};

/// Money that can go to one address, signed for while a price is above a limit.
pub(crate) struct Vault {
    client: Client,
    key: DerivedKey,
    caller: LocalSigner,
}

impl Vault {
    /// Publishes the action where it is not there yet, and computes the key.
    pub(crate) async fn open(folder: &Folder, above: u64, pay_to: &ScriptBuf) -> Result<Self> {
        let client = folder.client()?;
        let action = publish(&client, ACTION, &folder.signer("publisher")?).await?;
        let key = DerivedKey::new(&folder.trust()?, spec(action, above, pay_to))?;
        Ok(Self { client, key, caller: folder.signer("alice")? })
    }

    /// The key: another limit, another receiver or another fee has another one.
    pub(crate) fn key(&self) -> &DerivedKey {
        &self.key
    }

    /// Where to send money that this policy is to guard.
    pub(crate) fn address(&self) -> Result<String> {
        self.key.bitcoin_address(BitcoinNetwork::Regtest).context("the key is none of Taproot")
    }

    /// Asks the network to sign.
    pub(crate) async fn ask(&self, spend: &Spend) -> Result<Asked> {
        ask(&self.client, self.key.spec().clone(), spend.params(), &self.caller).await
    }

    /// Asks, and completes and checks the transaction; with what the action says.
    pub(crate) async fn release(&self, spend: &Spend) -> Result<(Transaction, Bytes)> {
        let (signed, signature) = self.ask(spend).await?.signature()?;
        let transaction = spend.signed(&signature.0)?;
        spend.check(&transaction)?;
        Ok((transaction, signed.answer.response))
    }
}

fn spec(action: ActionId, above: u64, pay_to: &ScriptBuf) -> KeySpec {
    let config = json!({
        "price": { "url": PRICE, "pointer": "/price" },
        "tolerance": { "bps": TOLERANCE_BPS },
        "above": above.to_string(),
        "pay_to": Bytes::copy_from_slice(pay_to.as_bytes()),
        "max_fee": MAX_FEE.to_sat().to_string(),
    });
    example_testnet_folder::key(Scheme::Bip340, action, &config, PayloadKind::Raw)
}

/// The script of an address on a network of one's own.
pub(crate) fn script(address: &str) -> Result<ScriptBuf> {
    let address: Address<NetworkUnchecked> =
        address.parse().with_context(|| format!("{address:?} is no Bitcoin address"))?;
    Ok(address.require_network(Network::Regtest)?.script_pubkey())
}
