//! `countersign key`: public keys and addresses, offline.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_client::{BitcoinNetwork, Trust, bitcoin_address, ethereum_address, solana_address};
use countersign_types::{
    ActionId, Address, B256, Bytes, Genesis, KeyOptions, KeySpec, PayloadKind, Policy, RootKeys, Scheme,
};
use serde_json::json;

use crate::{
    exit::Exit,
    files,
    output::{Output, facts},
};

/// Keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compute a key's id, public key and addresses from genesis, root keys and spec. Asks nobody.
    ///
    /// Keys are children of the network's root keys by addition, not by BIP-32 or SLIP-10: no seed phrase gives them,
    /// and ordinary wallets cannot derive them.
    #[command(
        after_help = "Example:\n  countersign key show --genesis genesis.json --root-keys root-keys.json \\\n    --action 0x.. --config 'text:{\"minimum\":\"1\"}'"
    )]
    Show {
        /// The genesis file.
        #[arg(long, default_value = "genesis.json")]
        genesis: PathBuf,
        /// The root keys: `root-keys.json` of any node.
        #[arg(long, default_value = "root-keys.json")]
        root_keys: PathBuf,
        /// The network of the Bitcoin address: mainnet, testnet (signet too) or regtest.
        #[arg(long, default_value_t = BitcoinNetwork::Mainnet)]
        bitcoin_network: BitcoinNetwork,
        #[command(flatten)]
        spec: SpecArguments,
    },
}

/// A key's spec: from a file, or from its parts.
#[derive(Args)]
pub(crate) struct SpecArguments {
    /// A JSON file with the whole spec.
    #[arg(long, conflicts_with_all = ["action", "config", "payloads", "owner", "salt"])]
    spec: Option<PathBuf>,
    /// The signature scheme: schnorr-secp256k1 (RFC 9591; a contract verifies it), bip340 (Taproot) or ed25519.
    #[arg(long, default_value_t = Scheme::SchnorrSecp256k1)]
    scheme: Scheme,
    /// The action that decides.
    #[arg(long, required_unless_present = "spec")]
    action: Option<ActionId>,
    /// The action's config for this key: 0x.., text:.., or @file.
    #[arg(long, value_parser = files::bytes, default_value = "0x")]
    config: Bytes,
    /// A kind of payload that the key signs; once for each kind.
    #[arg(long = "payload", value_delimiter = ',', default_value = "bytes")]
    payloads: Vec<PayloadKind>,
    /// Who may ask; anybody by default.
    #[arg(long, default_value_t = Address::ZERO)]
    owner: Address,
    /// Different salts give different keys.
    #[arg(long, default_value_t = B256::ZERO)]
    salt: B256,
}

impl SpecArguments {
    pub(crate) fn spec(self) -> Result<KeySpec, Exit> {
        let spec = match (self.spec, self.action) {
            (Some(path), _) => files::json_file(&path, "key spec")?,
            (None, Some(action)) => {
                let mut payloads = self.payloads;
                payloads.sort();
                payloads.dedup();
                KeySpec {
                    scheme: self.scheme,
                    policy: Policy { action, config: self.config },
                    payloads,
                    options: KeyOptions::default(),
                    owner: self.owner,
                    salt: self.salt,
                }
            }
            (None, None) => return Err(Exit::invalid_input("a key needs --spec or --action")),
        };
        spec.validate().map_err(Exit::invalid)?;
        Ok(spec)
    }
}

pub(crate) fn run(command: Command, output: &mut Output) -> Result<(), Exit> {
    let Command::Show { genesis, root_keys, bitcoin_network, spec } = command;
    let genesis: Genesis = files::json_file(&genesis, "genesis")?;
    let root_keys: RootKeys = files::json_file(&root_keys, "file of root keys")?;
    let spec = spec.spec()?;
    let trust = Trust::new(&genesis, root_keys).map_err(Exit::invalid)?;
    let key_id = spec.key_id();
    let public_key = trust.public_key(spec.scheme, &key_id).map_err(Exit::invalid)?;
    let ethereum = ethereum_address(spec.scheme, &public_key);
    let bitcoin = bitcoin_address(spec.scheme, &public_key, bitcoin_network);
    let solana = solana_address(spec.scheme, &public_key);
    let value = json!({
        "key_id": key_id,
        "scheme": spec.scheme,
        "public_key": public_key,
        "ethereum_address": ethereum,
        "bitcoin_address": bitcoin,
        "solana_address": solana,
        "spec": spec,
    });
    output.result(&value, || {
        let mut lines = vec![
            ("key id", key_id.to_string()),
            ("scheme", spec.scheme.to_string()),
            ("public key", public_key.to_string()),
        ];
        if let Some(address) = ethereum {
            lines.push(("address", format!("{address} (of the point: what a verifying contract compares)")));
        }
        if let Some(address) = bitcoin {
            lines
                .push(("Bitcoin", format!("{address} (P2TR, {bitcoin_network}: the key is the output key)")));
        }
        if let Some(address) = solana {
            lines.push(("Solana", address));
        }
        lines.push((
            "derived",
            "by addition to the root key: no seed phrase gives it, no wallet derives it".into(),
        ));
        lines.push(("action", spec.policy.action.to_string()));
        facts(&lines)
    })
}
