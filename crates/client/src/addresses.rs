//! Addresses of keys, as their chains write them.
//!
//! Each is a function of the public key alone, so it is computed offline like the key. No seed phrase gives any of
//! these keys: they are children of the root by addition, which BIP-32 and SLIP-10 do not know, so ordinary wallets
//! can watch and pay their addresses, not derive them.

use std::{fmt, str::FromStr};

use bech32::{Hrp, hrp, segwit};
use countersign_threshold::is_public_key;
use countersign_types::{Address, NodePublicKey, PublicKey, Scheme};

/// A Bitcoin network, as far as its addresses differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BitcoinNetwork {
    /// Addresses begin with `bc1p`.
    #[default]
    Mainnet,
    /// Every public test network, signet too: addresses begin with `tb1p`.
    Testnet,
    /// A network of one's own: addresses begin with `bcrt1p`.
    Regtest,
}

impl BitcoinNetwork {
    const ALL: [Self; 3] = [Self::Mainnet, Self::Testnet, Self::Regtest];

    /// The network's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Regtest => "regtest",
        }
    }

    const fn hrp(self) -> Hrp {
        match self {
            Self::Mainnet => hrp::BC,
            Self::Testnet => hrp::TB,
            Self::Regtest => hrp::BCRT,
        }
    }
}

impl fmt::Display for BitcoinNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text names no Bitcoin network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown Bitcoin network {got:?}, expected mainnet, testnet or regtest")]
pub struct BitcoinNetworkError {
    /// The text.
    pub got: String,
}

impl FromStr for BitcoinNetwork {
    type Err = BitcoinNetworkError;

    fn from_str(text: &str) -> Result<Self, BitcoinNetworkError> {
        Self::ALL
            .into_iter()
            .find(|network| network.name() == text)
            .ok_or_else(|| BitcoinNetworkError { got: text.chars().take(80).collect() })
    }
}

/// The Ethereum address of a key of RFC 9591's Schnorr signatures on secp256k1: that of its point, which a verifying
/// contract compares. None for other schemes and for what is no public key.
pub fn ethereum_address(scheme: Scheme, public_key: &PublicKey) -> Option<Address> {
    match scheme {
        // An identity's address is that of any compressed point on the curve.
        Scheme::SchnorrSecp256k1 => {
            let point = public_key.0.as_ref().try_into().ok()?;
            Some(NodePublicKey::from_bytes(point).ok()?.address())
        }
        Scheme::Bip340 | Scheme::Ed25519 => None,
    }
}

/// The Taproot address (P2TR, BIP-341; bech32m, BIP-350) whose output key a BIP-340 key is: it is spent by a
/// signature of this key alone. None for other schemes and for what is no public key.
///
/// BIP-341 recommends a tweak for keys without a script path, so that none can be hidden in them. None is made here:
/// the key commits to root and key id by a hash, so a script path in it would be a collision of two hashes, and in the
/// root, which the members chose together, key generation has ruled one out by that very tweak.
pub fn bitcoin_address(scheme: Scheme, public_key: &PublicKey, network: BitcoinNetwork) -> Option<String> {
    match scheme {
        Scheme::Bip340 if is_public_key(scheme, public_key) => {
            segwit::encode_v1(network.hrp(), &public_key.0).ok()
        }
        Scheme::Bip340 | Scheme::SchnorrSecp256k1 | Scheme::Ed25519 => None,
    }
}

/// The address of an Ed25519 key on Solana: the key in base58. None for other schemes and for what is no public key.
pub fn solana_address(scheme: Scheme, public_key: &PublicKey) -> Option<String> {
    match scheme {
        Scheme::Ed25519 if is_public_key(scheme, public_key) => {
            Some(bs58::encode(&public_key.0).into_string())
        }
        Scheme::Ed25519 | Scheme::SchnorrSecp256k1 | Scheme::Bip340 => None,
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::{Bytes, NodeKey};

    use super::*;

    fn key(hex: &str) -> PublicKey {
        PublicKey(hex::decode(hex).expect("hex").into())
    }

    #[test]
    fn the_ethereum_address_of_a_key_is_that_of_its_point() {
        let key = NodeKey::from_bytes([1; 32]).expect("a scalar").public_key();
        let public_key = PublicKey(Bytes::copy_from_slice(key.as_bytes()));
        assert_eq!(ethereum_address(Scheme::SchnorrSecp256k1, &public_key), Some(key.address()));
        let other = PublicKey(vec![5; 33].into());
        assert_eq!(ethereum_address(Scheme::SchnorrSecp256k1, &other), None);
    }

    #[test]
    fn taproot_addresses_are_those_of_bip_350_and_of_the_wallet_vectors_of_bip_341() {
        for (key_hex, expected) in [
            (
                "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            ),
            (
                "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343",
                "bc1p2wsldez5mud2yam29q22wgfh9439spgduvct83k3pm50fcxa5dps59h4z5",
            ),
            (
                "147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3",
                "bc1pz37fc4cn9ah8anwm4xqqhvxygjf9rjf2resrw8h8w4tmvcs0863sa2e586",
            ),
        ] {
            let address = bitcoin_address(Scheme::Bip340, &key(key_hex), BitcoinNetwork::Mainnet);
            assert_eq!(address.as_deref(), Some(expected));
        }
    }

    #[test]
    fn networks_have_prefixes_of_their_own_and_are_read_back_from_their_names() {
        let key = key("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        for (network, prefix) in BitcoinNetwork::ALL.into_iter().zip(["bc1p", "tb1p", "bcrt1p"]) {
            let address = bitcoin_address(Scheme::Bip340, &key, network).expect("a key");
            assert!(address.starts_with(prefix), "{address}");
            let (_, version, program) = segwit::decode(&address).expect("an address");
            assert_eq!((version, &program[..]), (segwit::VERSION_1, &key.0[..]));
            assert_eq!(network.name().parse(), Ok(network));
        }
        assert!("signet".parse::<BitcoinNetwork>().is_err());
    }

    #[test]
    fn the_solana_address_is_the_key_in_base_58() {
        let key = key("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let address = solana_address(Scheme::Ed25519, &key);
        assert_eq!(address.as_deref(), Some("FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"));
    }

    #[test]
    fn a_scheme_has_its_own_address_only_and_what_is_no_key_has_none() {
        let point = key("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        let ed25519 = key("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(ethereum_address(Scheme::Bip340, &point), None);
        assert_eq!(solana_address(Scheme::Bip340, &point), None);
        assert_eq!(bitcoin_address(Scheme::Ed25519, &ed25519, BitcoinNetwork::Mainnet), None);
        for bytes in [vec![], vec![0xff; 32], vec![2; 33]] {
            let no_key = PublicKey(bytes.into());
            assert_eq!(bitcoin_address(Scheme::Bip340, &no_key, BitcoinNetwork::Mainnet), None);
            assert_eq!(solana_address(Scheme::Ed25519, &no_key), None);
        }
    }
}
