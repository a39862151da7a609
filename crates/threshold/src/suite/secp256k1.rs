//! FROST(secp256k1, SHA-256), RFC 9591 section 6.5.

use countersign_types::Scheme;

use super::{BySuite, Family, Secp256K1Sha256, Suite};

/// SEC 1 tags of compressed points. The decoder also takes tag 5, the compact form, which is a second
/// encoding of half of the points.
const COMPRESSED: [u8; 2] = [2, 3];

/// Whether these bytes begin as a compressed point does.
pub(super) fn is_compressed(encoding: &[u8]) -> bool {
    encoding.first().is_some_and(|tag| COMPRESSED.contains(tag))
}

impl Suite for Secp256K1Sha256 {
    const SCHEME: Scheme = Scheme::SchnorrSecp256k1;
    const ELEMENT_BYTES: usize = 33;
    const SCALAR_BYTES: usize = 32;

    fn is_canonical_element(encoding: &[u8]) -> bool {
        is_compressed(encoding)
    }

    fn wrap<F: Family>(value: F::Of<Self>) -> BySuite<F> {
        BySuite::SchnorrSecp256k1(value)
    }

    fn open<F: Family>(value: &BySuite<F>) -> Option<&F::Of<Self>> {
        match value {
            BySuite::SchnorrSecp256k1(inner) => Some(inner),
            BySuite::Bip340(_) | BySuite::Ed25519(_) => None,
        }
    }
}
