//! FROST(Ed25519, SHA-512), RFC 9591 section 6.1: signatures of RFC 8032.

use countersign_types::Scheme;
use frost_ed25519::Ed25519Sha512;

use super::{BySuite, Family, Suite};

/// The field's order, 2^255 - 19, little-endian.
const FIELD_ORDER: [u8; 32] = {
    let mut order = [0xff; 32];
    (order[0], order[31]) = (0xed, 0x7f);
    order
};

impl Suite for Ed25519Sha512 {
    const SCHEME: Scheme = Scheme::Ed25519;
    const ELEMENT_BYTES: usize = 32;
    const SCALAR_BYTES: usize = 32;

    /// A y coordinate below the field's order. The decoder reduces larger ones, and refuses what is not in the
    /// subgroup of prime order: so also the points of order one and two, whose sign bit means nothing.
    fn is_canonical_element(encoding: &[u8]) -> bool {
        let Ok(mut y) = <[u8; 32]>::try_from(encoding) else { return false };
        y[31] &= 0x7f;
        y.iter().rev().lt(FIELD_ORDER.iter().rev())
    }

    fn wrap<F: Family>(value: F::Of<Self>) -> BySuite<F> {
        BySuite::Ed25519(value)
    }

    fn open<F: Family>(value: &BySuite<F>) -> Option<&F::Of<Self>> {
        match value {
            BySuite::Ed25519(inner) => Some(inner),
            BySuite::SchnorrSecp256k1(_) | BySuite::Bip340(_) => None,
        }
    }
}
