//! FROST with signatures of BIP-340.
//!
//! Elements are whole points, of either parity, and travel as such: root, shares and commitments. Only what a
//! verifier takes is an x coordinate. The suite's hooks negate key, shares and nonces where a parity is odd, and
//! its key generation ends with the taproot tweak that rules out a script path (BIP-341).

use std::borrow::Cow;

use countersign_types::{Bytes, Scheme};
use frost_secp256k1_tr::Secp256K1Sha256TR;

use super::{BySuite, Family, Suite, secp256k1::is_compressed};

/// The SEC 1 tag of a compressed point whose y coordinate is even: the one that an x coordinate stands for.
const EVEN: u8 = 2;

impl Suite for Secp256K1Sha256TR {
    const SCHEME: Scheme = Scheme::Bip340;
    const ELEMENT_BYTES: usize = 33;
    const SCALAR_BYTES: usize = 32;

    fn is_canonical_element(encoding: &[u8]) -> bool {
        is_compressed(encoding)
    }

    /// The decoder takes an x coordinate below the field's order and a scalar below the group's: each has one
    /// encoding.
    fn is_canonical_signature(encoding: &[u8]) -> bool {
        encoding.len() == Self::SCHEME.signature_len()
    }

    fn public_key(element: Vec<u8>) -> Bytes {
        Bytes::from(element).slice(1..)
    }

    fn element_of(public_key: &[u8]) -> Cow<'_, [u8]> {
        Cow::Owned([&[EVEN], public_key].concat())
    }

    fn wrap<F: Family>(value: F::Of<Self>) -> BySuite<F> {
        BySuite::Bip340(value)
    }

    fn open<F: Family>(value: &BySuite<F>) -> Option<&F::Of<Self>> {
        match value {
            BySuite::Bip340(inner) => Some(inner),
            BySuite::SchnorrSecp256k1(_) | BySuite::Ed25519(_) => None,
        }
    }
}
