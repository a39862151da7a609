//! `countersign key`: public keys and addresses, offline.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use countersign_client::{BitcoinNetwork, bitcoin_address, ethereum_address, solana_address};
use countersign_types::{
    ActionId, Address, B256, Bytes, KeyId, KeyOptions, KeySpec, PayloadKind, Policy, PublicKey, Scheme,
};
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    files,
    output::{Output, facts},
    trust::TrustArguments,
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
        #[command(flatten)]
        network: TrustArguments,
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
    /// A JSON file with the whole spec: what `countersign key show --json` prints as "spec".
    #[arg(long, conflicts_with_all = ["scheme", "action", "config", "payloads", "owner", "salt"])]
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
    /// A kind of payload that the key signs: bytes, personal-message, typed-data or raw; once for each kind.
    #[arg(long = "payload", value_delimiter = ',', default_value = "bytes")]
    payloads: Vec<PayloadKind>,
    /// Who may ask; anybody by default.
    #[arg(long, default_value_t = Address::ZERO)]
    owner: Address,
    /// Different salts give different keys: 0x and 64 hexadecimal digits.
    #[arg(long, default_value_t = B256::ZERO, value_parser = files::bytes32)]
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
    let Command::Show { network, bitcoin_network, spec } = command;
    let trust = network.trust()?;
    let spec = spec.spec()?;
    let public_key = trust.public_key(spec.scheme, &spec.key_id()).map_err(Exit::invalid)?;
    let shown = Shown::new(spec, public_key, bitcoin_network);
    output.result(&shown.document(), || facts(&shown.lines(bitcoin_network)))
}

/// A key with its addresses: those that its scheme has.
struct Shown {
    spec: KeySpec,
    key_id: KeyId,
    public_key: PublicKey,
    ethereum: Option<Address>,
    bitcoin: Option<String>,
    solana: Option<String>,
}

impl Shown {
    fn new(spec: KeySpec, public_key: PublicKey, network: BitcoinNetwork) -> Self {
        Self {
            key_id: spec.key_id(),
            ethereum: ethereum_address(spec.scheme, &public_key),
            bitcoin: bitcoin_address(spec.scheme, &public_key, network),
            solana: solana_address(spec.scheme, &public_key),
            public_key,
            spec,
        }
    }

    fn document(&self) -> Value {
        json!({
            "key_id": self.key_id,
            "scheme": self.spec.scheme,
            "public_key": self.public_key,
            "ethereum_address": self.ethereum,
            "bitcoin_address": self.bitcoin,
            "solana_address": self.solana,
            "spec": self.spec,
        })
    }

    fn lines(&self, network: BitcoinNetwork) -> Vec<(&'static str, String)> {
        let mut lines = vec![
            ("key id", self.key_id.to_string()),
            ("scheme", self.spec.scheme.to_string()),
            ("public key", self.public_key.to_string()),
        ];
        if let Some(address) = self.ethereum {
            lines.push(("address", format!("{address} (of the point: what a verifying contract compares)")));
        }
        if let Some(address) = &self.bitcoin {
            lines.push(("Bitcoin", format!("{address} (P2TR, {network}: the key is the output key)")));
        }
        if let Some(address) = &self.solana {
            lines.push(("Solana", address.clone()));
        }
        lines.push((
            "derived",
            "by addition to the root key: no seed phrase gives it, no wallet derives it".into(),
        ));
        lines.push(("action", self.spec.policy.action.to_string()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_with_the_address_of_its_scheme_and_null_for_the_others() {
        // the generators of the two curves
        let x = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let ed25519 = format!("58{}", "66".repeat(31));
        for (scheme, key, field, prefix) in [
            (Scheme::SchnorrSecp256k1, format!("02{x}"), "ethereum_address", "0x"),
            (Scheme::Bip340, x.to_owned(), "bitcoin_address", "tb1p"),
            (Scheme::Ed25519, ed25519, "solana_address", ""),
        ] {
            let spec = KeySpec {
                scheme,
                policy: Policy { action: ActionId::from([1; 32]), config: Bytes::new() },
                payloads: vec![PayloadKind::Bytes],
                options: KeyOptions::default(),
                owner: Address::ZERO,
                salt: B256::ZERO,
            };
            let key = PublicKey(format!("0x{key}").parse().expect("hex"));
            let shown = Shown::new(spec, key, BitcoinNetwork::Testnet);
            let document = shown.document();
            for other in ["ethereum_address", "bitcoin_address", "solana_address"] {
                let address = document[other].as_str();
                assert_eq!(address.is_some(), other == field, "{scheme}: {document}");
                assert!(address.is_none_or(|address| address.starts_with(prefix)), "{document}");
            }
            let lines = facts(&shown.lines(BitcoinNetwork::Testnet));
            // Ethereum's has a checksum in its case where people read it
            let address = document[field].as_str().expect("an address").to_lowercase();
            assert!(lines.to_lowercase().contains(&address), "{lines}");
            assert!(lines.contains("no seed phrase"), "{lines}");
        }
    }
}
