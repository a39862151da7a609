//! Verification with code that is not ours: RFC 9591 section 6.5, from k256's primitives.

use anyhow::{Context, Result, ensure};
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

/// Checks a Schnorr signature R, z over `message`: z·G = R + c·P.
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
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
