//! ECDSA on secp256k1: how nodes vote and callers ask.
//!
//! A signature is 65 bytes: r, s in the lower half of the order, and 27 or 28, as `ecrecover` takes it. Each has one
//! form: changing any bit makes it another's or nobody's, because a signature is checked by recovering its key.

#[cfg(not(countersign_toy_curves))]
mod libsecp256k1;
#[cfg(countersign_toy_curves)]
mod toy;

use alloy_primitives::{Address, B256, keccak256};
use secp256k1::{PublicKey, Secp256k1, SecretKey, SignOnly};
use zeroize::Zeroizing;

#[cfg(not(countersign_toy_curves))]
pub(crate) use self::libsecp256k1::recover;
#[cfg(not(countersign_toy_curves))]
use self::libsecp256k1::sign;
#[cfg(countersign_toy_curves)]
pub(crate) use self::toy::recover;
#[cfg(countersign_toy_curves)]
use self::toy::sign;

/// A secret key. Wiped on drop.
pub(crate) struct Signer {
    secret: Zeroizing<[u8; 32]>,
    public: PublicKey,
    #[cfg_attr(countersign_toy_curves, expect(dead_code, reason = "toys sign without a secret"))]
    context: Secp256k1<SignOnly>,
}

impl Signer {
    /// From 32 bytes, big-endian; none if they are zero or not below the group order.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        let secret = Zeroizing::new(bytes);
        let mut key = SecretKey::from_byte_array(*secret).ok()?;
        let mut context = Secp256k1::signing_only();
        // blinds what is computed with the secret by something that nobody else knows
        let seed = Zeroizing::new(keccak256([b"countersign/blinding/v1".as_slice(), &*secret].concat()).0);
        context.seeded_randomize(&seed);
        let public = key.public_key(&context);
        key.non_secure_erase();
        Some(Self { secret, public, context })
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.secret.clone()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs with a deterministic nonce (RFC 6979).
    pub(crate) fn sign(&self, digest: B256) -> [u8; 65] {
        sign(self, digest)
    }
}

/// A compressed point; none if the bytes are not one.
pub(crate) fn parse(bytes: [u8; 33]) -> Option<PublicKey> {
    PublicKey::from_byte_array_compressed(bytes).ok()
}

/// The Ethereum address of a key.
pub(crate) fn address(key: &PublicKey) -> Address {
    Address::from_slice(&keccak256(&key.serialize_uncompressed()[1..])[12..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: B256 = B256::repeat_byte(9);

    #[cfg(not(countersign_toy_curves))]
    #[test]
    fn signatures_are_those_of_another_implementation() {
        for byte in 1..=64 {
            let signed = Signer::from_bytes([byte; 32]).expect("a scalar").sign(DIGEST);
            let other = k256::ecdsa::SigningKey::from_slice(&[byte; 32]).expect("a scalar");
            let (signature, id) = other.sign_prehash_recoverable(DIGEST.as_slice()).expect("signed");
            assert_eq!(signed[..64], signature.to_bytes()[..]);
            assert_eq!(signed[64], 27 + id.to_byte());
        }
    }

    #[test]
    fn every_bit_counts() {
        let signer = Signer::from_bytes([1; 32]).expect("a scalar");
        let signature = signer.sign(DIGEST);
        assert_eq!(recover(DIGEST, &signature), Some(signer.public_key()));
        for bit in 0..65 * 8 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(recover(DIGEST, &changed), Some(signer.public_key()), "bit {bit}");
        }
    }

    #[test]
    fn what_is_no_signature_has_no_key() {
        for mut bytes in [[0; 65], [0xff; 65]] {
            bytes[64] = 27;
            assert_eq!(recover(DIGEST, &bytes), None);
        }
        assert!(Signer::from_bytes([0; 32]).is_none());
        assert!(Signer::from_bytes([0xff; 32]).is_none());
        assert!(parse([5; 33]).is_none());
    }
}
