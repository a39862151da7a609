//! Hashes and signatures, computed by the host: cheaper than in the guest. What has a wrong length, or is no
//! signature, does not verify.

use crate::{Address, bindings::countersign::action::crypto as host, context::array};

/// The keccak-256 of the data.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    array(&host::keccak256(data))
}

/// The SHA-256 of the data.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    array(&host::sha256(data))
}

/// The account whose key made a signature (r, s and one byte 0, 1, 27 or 28), as `ecrecover`; none if it is no
/// signature, or s is in the upper half of the order.
pub fn secp256k1_recover(digest: &[u8; 32], signature: &[u8]) -> Option<Address> {
    host::secp256k1_recover(digest, signature).map(|address| Address(array(&address)))
}

/// Whether an ECDSA signature (r and s, s in the lower half) on secp256k1 is valid for a SEC1 public key.
pub fn secp256k1_verify(public_key: &[u8], digest: &[u8; 32], signature: &[u8]) -> bool {
    host::secp256k1_verify(public_key, digest, signature)
}

/// Whether a BIP-340 signature of 64 bytes is valid for an x-only public key.
pub fn bip340_verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    host::bip340_verify(public_key, message, signature)
}

/// Whether an ECDSA signature (r and s) on P-256 is valid for a SEC1 public key. Both values of s are valid: do
/// not use a signature's bytes as an identifier.
pub fn p256_verify(public_key: &[u8], digest: &[u8; 32], signature: &[u8]) -> bool {
    host::p256_verify(public_key, digest, signature)
}

/// Whether an Ed25519 signature (RFC 8032) is valid.
pub fn ed25519_verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    host::ed25519_verify(public_key, message, signature)
}

/// The EIP-712 digest of typed data in JSON; else what is wrong with them.
pub fn typed_data_digest(json: &str) -> Result<[u8; 32], String> {
    host::typed_data_digest(json).map(|digest| array(&digest))
}
