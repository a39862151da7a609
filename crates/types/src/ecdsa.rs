//! ECDSA on secp256k1, by libsecp256k1: how nodes vote and callers ask.
//!
//! A signature is 65 bytes: r, s in the lower half of the order, and 27 or 28, as `ecrecover` takes it. Each has one
//! form: changing any bit makes it another's or nobody's, because a signature is checked by recovering its key.

use std::sync::LazyLock;

use alloy_primitives::{Address, B256, keccak256};
use secp256k1::{
    Message, PublicKey, Secp256k1, SecretKey, SignOnly, VerifyOnly,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use zeroize::Zeroizing;

static VERIFIER: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// A secret key. Wiped on drop.
pub(crate) struct Signer {
    secret: Zeroizing<[u8; 32]>,
    context: Secp256k1<SignOnly>,
}

impl Signer {
    /// From 32 bytes, big-endian; none if they are zero or not below the group order.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        let secret = Zeroizing::new(bytes);
        SecretKey::from_byte_array(*secret).ok()?.non_secure_erase();
        let mut context = Secp256k1::signing_only();
        // blinds what is computed with the secret by something that nobody else knows
        let seed = Zeroizing::new(keccak256([b"countersign/blinding/v1".as_slice(), &*secret].concat()).0);
        context.seeded_randomize(&seed);
        Some(Self { secret, context })
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.secret.clone()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.with(|key| key.public_key(&self.context))
    }

    /// Signs with a deterministic nonce (RFC 6979).
    pub(crate) fn sign(&self, digest: B256) -> [u8; 65] {
        let signature =
            self.with(|key| self.context.sign_ecdsa_recoverable(Message::from_digest(digest.0), key));
        let (id, r_and_s) = signature.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&r_and_s);
        bytes[64] = match id {
            RecoveryId::Zero => 27,
            RecoveryId::One => 28,
            // r would lie between the group's order and the field's: nobody can find such a nonce
            RecoveryId::Two | RecoveryId::Three => unreachable!("a nonce's x coordinate is below the order"),
        };
        bytes
    }

    fn with<R>(&self, work: impl FnOnce(&SecretKey) -> R) -> R {
        let mut key = SecretKey::from_byte_array(*self.secret).expect("checked when it was made");
        let result = work(&key);
        key.non_secure_erase();
        result
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

/// The key that made a signature; none if it is no signature, or not in the one form.
pub(crate) fn recover(digest: B256, signature: &[u8; 65]) -> Option<PublicKey> {
    let id = match signature[64] {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        _ => return None,
    };
    let signature = RecoverableSignature::from_compact(&signature[..64], id).ok()?;
    let (given, mut lower) = (signature.to_standard(), signature.to_standard());
    lower.normalize_s();
    if given != lower {
        return None;
    }
    VERIFIER.recover_ecdsa(Message::from_digest(digest.0), &signature).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: B256 = B256::repeat_byte(9);

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
