//! Signatures that anybody can make in anybody's name, in the form of real ones: for the simulator's longest runs. Only with
//! `--cfg countersign_toy_curves`.
//!
//! r is the key's x coordinate, s a hash of key and digest. Who signs with its own key only is told from everybody else, and
//! every bit counts, as with real ones.

use alloy_primitives::{B256, keccak256};
use secp256k1::PublicKey;

use super::{Signer, parse};

/// What lies between the last byte of a signature and the tag of a compressed point.
const TAG: u8 = 25;

pub(super) fn sign(signer: &Signer, digest: B256) -> [u8; 65] {
    let key = signer.public.serialize();
    let mut bytes = [0; 65];
    bytes[..32].copy_from_slice(&key[1..]);
    bytes[32..64].copy_from_slice(seal(&key, digest).as_slice());
    bytes[64] = TAG + key[0];
    bytes
}

/// The key that a signature names, if it is one.
pub(crate) fn recover(digest: B256, signature: &[u8; 65]) -> Option<PublicKey> {
    let mut key = [signature[64].checked_sub(TAG)?; 33];
    key[1..].copy_from_slice(&signature[..32]);
    (signature[32..64] == *seal(&key, digest)).then(|| parse(key)).flatten()
}

fn seal(key: &[u8; 33], digest: B256) -> B256 {
    let mut said = [0; 65];
    said[..33].copy_from_slice(key);
    said[33..].copy_from_slice(digest.as_slice());
    keccak256(said)
}
