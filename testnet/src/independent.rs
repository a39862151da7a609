//! Verification with code that is not ours: RFC 9591 section 6.5 from k256's primitives, BIP-340 with k256 and with
//! libsecp256k1 as the `bitcoin` crate has it, Ed25519 with ed25519-dalek.

use anyhow::{Context, Result, ensure};
use bitcoin::secp256k1::{self, XOnlyPublicKey, schnorr};
use countersign_types::Scheme;
use k256::{
    AffinePoint, ProjectivePoint, PublicKey, Scalar,
    elliptic_curve::{
        PrimeField,
        hash2curve::{ExpandMsgXmd, hash_to_field},
        sec1::ToEncodedPoint,
    },
    sha2::Sha256,
};

/// The domain separation tag of the challenge: context string and "chal".
const TAG: &[u8] = b"FROST-secp256k1-SHA256-v1chal";

/// Checks a signature with a public key, each as the scheme's verifier takes it.
pub fn verify(scheme: Scheme, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    match scheme {
        Scheme::SchnorrSecp256k1 => rfc9591(public_key, message, signature),
        Scheme::Bip340 => bip340(public_key, message, signature),
        Scheme::Ed25519 => ed25519(public_key, message, signature),
    }
}

/// Twice: with k256, and with the library that Bitcoin's nodes use.
fn bip340(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    let key = k256::schnorr::VerifyingKey::from_bytes(public_key).context("the public key is no point")?;
    let parsed = k256::schnorr::Signature::try_from(signature).context("the signature is not one")?;
    key.verify_raw(message, &parsed).context("the signature does not verify with k256")?;

    let key = XOnlyPublicKey::from_slice(public_key).context("the public key is no point")?;
    let parsed = schnorr::Signature::from_slice(signature).context("the signature is not one")?;
    let message = secp256k1::Message::from_digest_slice(message).context("the message has not 32 bytes")?;
    secp256k1::Secp256k1::verification_only()
        .verify_schnorr(&parsed, &message, &key)
        .context("the signature does not verify with libsecp256k1")
}

fn ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(public_key.try_into()?)?;
    let signature = ed25519_dalek::Signature::from_slice(signature)?;
    key.verify_strict(message, &signature).context("the signature does not verify")
}

/// A Schnorr signature R, z over `message`: z·G = R + c·P.
fn rfc9591(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    ensure!(signature.len() == 65, "a signature has 65 bytes, got {}", signature.len());
    let (r, z) = signature.split_at(33);
    let key = PublicKey::from_sec1_bytes(public_key).context("the public key is no point")?;
    let commitment = PublicKey::from_sec1_bytes(r).context("R is no point")?;
    let z: [u8; 32] = z.try_into()?;
    let z = Option::<Scalar>::from(Scalar::from_repr(z.into())).context("z is not below the order")?;
    let point = |point: &AffinePoint| point.to_encoded_point(true);
    let transcript =
        [point(commitment.as_affine()).as_bytes(), point(key.as_affine()).as_bytes(), message].concat();
    let mut challenge = [Scalar::ZERO];
    hash_to_field::<ExpandMsgXmd<Sha256>, Scalar>(&[&transcript], &[TAG], &mut challenge)
        .map_err(|error| anyhow::anyhow!("no challenge: {error}"))?;
    let left = ProjectivePoint::GENERATOR * z;
    let right = commitment.to_projective() + key.to_projective() * challenge[0];
    ensure!(left == right, "the signature does not verify");
    Ok(())
}
