//! Hashes and signatures. What is malformed does not verify; nothing here ends a run but its fuel.

use alloy_primitives::{Address, keccak256};
use countersign_types::{TypedDataError, typed_data_digest};
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256};
use wasmtime::component::LinkerInstance;

use crate::{
    fuel::{COSTS, charge},
    run::RunState,
};

pub(super) const NAME: &str = "countersign:action/crypto@0.1.0";

/// What a guest is told of typed data that the parser refuses: the parser's own words may change.
const NOT_TYPED_DATA: &str = "not valid EIP-712 typed data";

pub(super) fn define(linker: &mut LinkerInstance<'_, RunState>) -> wasmtime::Result<()> {
    linker.func_wrap_async("keccak256", |mut store, (data,): (Vec<u8>,)| {
        Box::new(async move {
            charge(&mut store, COSTS.call(data.len()) + COSTS.hash(data.len())).await?;
            Ok((keccak256(&data).to_vec(),))
        })
    })?;
    linker.func_wrap_async("sha256", |mut store, (data,): (Vec<u8>,)| {
        Box::new(async move {
            charge(&mut store, COSTS.call(data.len()) + COSTS.hash(data.len())).await?;
            Ok((Sha256::digest(&data).to_vec(),))
        })
    })?;
    linker.func_wrap_async("secp256k1-recover", |mut store, (digest, signature): (Vec<u8>, Vec<u8>)| {
        Box::new(async move {
            charge(&mut store, COSTS.call(digest.len() + signature.len()) + COSTS.secp256k1).await?;
            Ok((secp256k1_recover(&digest, &signature),))
        })
    })?;
    define_verifier(linker, "secp256k1-verify", COSTS.secp256k1, 0, secp256k1_verify)?;
    define_verifier(linker, "bip340-verify", COSTS.secp256k1, COSTS.hashed_byte, bip340_verify)?;
    define_verifier(linker, "p256-verify", COSTS.p256, 0, p256_verify)?;
    define_verifier(linker, "ed25519-verify", COSTS.ed25519, COSTS.hashed_byte, ed25519_verify)?;
    linker.func_wrap_async("typed-data-digest", |mut store, (json,): (String,)| {
        Box::new(async move {
            charge(&mut store, COSTS.call(json.len()) + COSTS.typed_data(json.len())).await?;
            Ok((digest_of_typed_data(&json),))
        })
    })
}

/// A function of public key, message and signature.
type Verifier = fn(&[u8], &[u8], &[u8]) -> Option<()>;

fn define_verifier(
    linker: &mut LinkerInstance<'_, RunState>,
    name: &str,
    cost: u64,
    cost_per_byte: u64,
    verify: Verifier,
) -> wasmtime::Result<()> {
    linker.func_wrap_async(name, move |mut store, (key, message, signature): (Vec<u8>, Vec<u8>, Vec<u8>)| {
        Box::new(async move {
            let bytes = key.len() + message.len() + signature.len();
            let hashed = u64::try_from(message.len()).unwrap_or(u64::MAX).saturating_mul(cost_per_byte);
            charge(&mut store, COSTS.call(bytes).saturating_add(cost).saturating_add(hashed)).await?;
            Ok((verify(&key, &message, &signature).is_some(),))
        })
    })
}

fn secp256k1_recover(digest: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let digest: &[u8; 32] = digest.try_into().ok()?;
    let (signature, [parity]) = signature.split_first_chunk::<64>()? else {
        return None;
    };
    let parity = match parity {
        0 | 27 => 0,
        1 | 28 => 1,
        _ => return None,
    };
    let signature = k256::ecdsa::Signature::from_slice(signature).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    let id = k256::ecdsa::RecoveryId::from_byte(parity)?;
    let key = k256::ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, id).ok()?;
    Some(Address::from_public_key(&key).to_vec())
}

fn secp256k1_verify(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let digest: &[u8; 32] = digest.try_into().ok()?;
    let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(sec1(key)?).ok()?;
    let signature = k256::ecdsa::Signature::from_slice(signature).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    key.verify_prehash(digest, &signature).ok()
}

fn bip340_verify(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    // The parser of keys panics on another length.
    let key: &[u8; 32] = key.try_into().ok()?;
    let signature: &[u8; 64] = signature.try_into().ok()?;
    let key = k256::schnorr::VerifyingKey::from_bytes(key).ok()?;
    let signature = k256::schnorr::Signature::try_from(signature.as_slice()).ok()?;
    key.verify_raw(message, &signature).ok()
}

fn p256_verify(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let digest: &[u8; 32] = digest.try_into().ok()?;
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(sec1(key)?).ok()?;
    let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
    key.verify_prehash(digest, &signature).ok()
}

fn ed25519_verify(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    let signature = ed25519_dalek::Signature::from_bytes(signature.try_into().ok()?);
    key.verify_strict(message, &signature).ok()
}

/// A point's bytes, if it is written in one of the two documented forms.
fn sec1(key: &[u8]) -> Option<&[u8]> {
    matches!((key.len(), key.first()), (33, Some(2 | 3)) | (65, Some(4))).then_some(key)
}

fn digest_of_typed_data(json: &str) -> Result<Vec<u8>, String> {
    typed_data_digest(json).map(|digest| digest.to_vec()).map_err(|error| match error {
        TypedDataError::Bounds(reason) => reason.into(),
        TypedDataError::Malformed(_) => NOT_TYPED_DATA.into(),
    })
}

#[cfg(test)]
#[path = "crypto_tests.rs"]
mod tests;
