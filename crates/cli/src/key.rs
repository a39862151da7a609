//! `countersign key`: public keys and addresses, offline.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use countersign_client::{BitcoinNetwork, bitcoin_address, ethereum_address, solana_address};
use countersign_types::{
    ActionId, Address, B256, Bytes, KeyId, KeyOptions, KeySpec, PayloadKind, Policy, PublicKey, Scheme,
};
use serde_json::{Value, from_value, json};

use crate::{
    exit::Exit,
    files,
    output::{Output, facts},
    receipt,
    trust::TrustArguments,
};

/// How many characters of a config people are shown.
const CONFIG_SHOWN: usize = 120;

/// Keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compute a key's id, public key and addresses from genesis, root keys and spec. Asks nobody.
    ///
    /// Keys are children of the network's root keys by addition, not by BIP-32 or SLIP-10: no seed phrase gives them,
    /// and ordinary wallets cannot derive them.
    #[command(
        after_help = "Examples:\n  countersign key show --genesis genesis.json --root-keys root-keys.json \\\n    --action 0x.. --config 'text:{\"minimum\":\"1\"}'\n  \
                      countersign key show --genesis genesis.json --root-keys root-keys.json --spec key.json"
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
    /// A JSON file with the whole spec: what `countersign key show --json` prints, or what stands there as "spec".
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
    /// A kind of payload that the key signs: bytes, personal-message, typed-data or raw; once for each kind. Only a key with raw signs
    /// transactions.
    #[arg(long = "payload", value_delimiter = ',', default_value = "bytes")]
    payloads: Vec<PayloadKind>,
    /// Who may ask, an account: 0x and 40 hexadecimal digits; anybody by default.
    #[arg(long, default_value_t = Address::ZERO, value_parser = files::address)]
    owner: Address,
    /// Different salts give different keys: 0x and 64 hexadecimal digits.
    #[arg(long, default_value_t = B256::ZERO, value_parser = files::bytes32)]
    salt: B256,
}

impl SpecArguments {
    pub(crate) fn spec(self) -> Result<KeySpec, Exit> {
        let spec = match (self.spec, self.action) {
            (Some(path), _) => spec_file(&path)?,
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

/// A spec from a file, where it stands alone or in the document that `key show --json` prints.
fn spec_file(path: &Path) -> Result<KeySpec, Exit> {
    let document: Value = files::json_file(path, "key spec")?;
    let spec = document.get("spec").cloned().unwrap_or(document);
    from_value(spec).map_err(|error| {
        Exit::invalid_input(format!(
            "{} is no key spec, and nothing that `key show --json` printed: {error}",
            path.display()
        ))
    })
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
            "signs_transactions": no_coins(&self.spec).is_none(),
            "warning": no_coins(&self.spec),
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
        if let Some(warning) = no_coins(&self.spec) {
            lines.push(("warning", warning.into()));
        }
        lines.push((
            "derived",
            "by addition to the root key: no seed phrase gives it, no wallet derives it".into(),
        ));
        lines.extend(committed(&self.spec));
        lines
    }
}

/// Why no coins belong at a key's address; none where the key signs transactions, which it does as `raw` alone
/// (docs/protocol.md, "From an intent to signed bytes").
fn no_coins(spec: &KeySpec) -> Option<&'static str> {
    match spec.scheme {
        Scheme::SchnorrSecp256k1 => Some(
            "send no coins to this address: Ethereum's transactions are signed with ECDSA, and this key signs with Schnorr, \
             whatever its payloads, so nothing could move them",
        ),
        Scheme::Bip340 | Scheme::Ed25519 if spec.payloads.contains(&PayloadKind::Raw) => None,
        Scheme::Bip340 | Scheme::Ed25519 => Some(
            "send no coins to this address: a key without the payload kind raw signs no transactions, so nothing could move them; \
             with --payload raw it is another key, of another address, that signs them",
        ),
    }
}

/// What a key commits to besides its scheme: another word of it, and it is another key with other addresses.
fn committed(spec: &KeySpec) -> [(&'static str, String); 5] {
    let KeySpec { policy, payloads, owner, salt, .. } = spec;
    let payloads: Vec<&str> = payloads.iter().map(|kind| kind.name()).collect();
    let owner =
        if owner.is_zero() { "none: anybody may ask".into() } else { format!("{owner}: it alone may ask") };
    let salt = if salt.is_zero() { "none".into() } else { salt.to_string() };
    [
        ("action", policy.action.to_string()),
        ("config", shortened(&policy.config)),
        ("payloads", payloads.join(", ")),
        ("owner", owner),
        ("salt", salt),
    ]
}

/// A config on one line; the end of a long one is left out.
fn shortened(config: &Bytes) -> String {
    if config.is_empty() {
        return "none".into();
    }
    let text = receipt::text(config);
    match text.char_indices().nth(CONFIG_SHOWN) {
        Some((end, _)) => format!("{}.. ({} bytes, all of them with --json)", &text[..end], config.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn spec(scheme: Scheme) -> KeySpec {
        KeySpec {
            scheme,
            policy: Policy { action: ActionId::from([1; 32]), config: Bytes::new() },
            payloads: vec![PayloadKind::Bytes],
            options: KeyOptions::default(),
            owner: Address::ZERO,
            salt: B256::ZERO,
        }
    }

    #[test]
    fn what_the_address_commits_to_is_shown() {
        let said = |spec: &KeySpec| facts(&committed(spec));
        let mut spec = spec(Scheme::Bip340);
        let expected = format!(
            "action    0x{}\nconfig    none\npayloads  bytes\nowner     none: anybody may ask\nsalt      none",
            "01".repeat(32)
        );
        assert_eq!(said(&spec), expected);

        spec.policy.config = Bytes::from_static(b"{\"minimum\":1}");
        spec.payloads.push(PayloadKind::Raw);
        (spec.owner, spec.salt) = (Address::repeat_byte(2), B256::repeat_byte(3));
        let shown = said(&spec);
        let salt = format!("0x{}", "03".repeat(32));
        for part in ["text:{\"minimum\":1}", "bytes, raw", "0x0202", "it alone may ask", &salt] {
            assert!(shown.contains(part), "{part:?} is missing in: {shown}");
        }

        spec.policy.config = "é".repeat(200).into_bytes().into();
        let shown = said(&spec);
        let text_of_config = format!("text:{}.. (400 bytes", "é".repeat(CONFIG_SHOWN - "text:".len()));
        assert!(shown.contains(&text_of_config), "{shown}");
    }

    #[test]
    fn who_would_send_coins_to_a_key_that_cannot_move_them_is_warned() {
        let key = PublicKey(format!("0x58{}", "66".repeat(31)).parse().expect("hex"));
        for (scheme, payloads, warning) in [
            (Scheme::Bip340, vec![PayloadKind::Bytes, PayloadKind::TypedData], Some("--payload raw")),
            (Scheme::Ed25519, vec![PayloadKind::Bytes], Some("--payload raw")),
            (Scheme::SchnorrSecp256k1, vec![PayloadKind::Raw], Some("ECDSA")),
            (Scheme::Bip340, vec![PayloadKind::Bytes, PayloadKind::Raw], None),
            (Scheme::Ed25519, vec![PayloadKind::Raw], None),
        ] {
            let shown =
                Shown::new(KeySpec { payloads, ..spec(scheme) }, key.clone(), BitcoinNetwork::Mainnet);
            let (document, lines) = (shown.document(), facts(&shown.lines(BitcoinNetwork::Mainnet)));
            assert_eq!(document["signs_transactions"], warning.is_none(), "{document}");
            assert_eq!(document["warning"].is_string(), warning.is_some(), "{document}");
            let line = lines.lines().find(|line| line.starts_with("warning"));
            assert_eq!(line.is_some(), warning.is_some(), "{lines}");
            if let Some(told) = warning {
                assert!(line.is_some_and(|line| line.contains(told)), "{lines}");
            }
        }
    }

    #[test]
    fn a_spec_is_taken_alone_or_from_the_whole_document() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.json");
        let read = |text: String| {
            fs::write(&path, text).expect("written");
            spec_file(&path)
        };
        let spec = spec(Scheme::Ed25519);
        let key = PublicKey(format!("0x58{}", "66".repeat(31)).parse().expect("hex"));
        let shown = Shown::new(spec.clone(), key, BitcoinNetwork::Mainnet).document();
        for text in [json!(spec).to_string(), shown.to_string()] {
            assert_eq!(read(text).expect("a spec"), spec);
        }
        for (text, wrong) in
            [("{}", "missing field"), ("[]", "is no key spec"), ("{\"spec\":1}", "key.json is no key spec")]
        {
            let error = read(text.into()).expect_err("no spec");
            assert!(error.message.contains(wrong) && error.message.contains("key.json"), "{error}");
        }
    }

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
            let spec = spec(scheme);
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
