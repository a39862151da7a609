//! Signatures by libsecp256k1.

use std::sync::LazyLock;

use alloy_primitives::B256;
use secp256k1::{
    Message, PublicKey, Secp256k1, SecretKey, VerifyOnly,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::Signer;

static VERIFIER: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// Signs with a deterministic nonce (RFC 6979).
pub(super) fn sign(signer: &Signer, digest: B256) -> [u8; 65] {
    let mut key = SecretKey::from_byte_array(*signer.secret).expect("checked when it was made");
    let signature = signer.context.sign_ecdsa_recoverable(Message::from_digest(digest.0), &key);
    key.non_secure_erase();
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
