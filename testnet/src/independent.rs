//! Verification with code that is not ours, for every scheme: schnorr-secp256k1 with the Zcash Foundation's frost-secp256k1, BIP-340 with
//! k256 and with libsecp256k1 as the `bitcoin` crate has it, Ed25519 with ed25519-dalek.
//!
//! frost-secp256k1 is also what signs. So there is a second opinion on schnorr-secp256k1 that shares no code with FROST: the equation of
//! RFC 9591, written down here over k256.

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

/// Checks a signature over a message with a public key: key, message, signature.
type Verifier = fn(&[u8], &[u8], &[u8]) -> Result<()>;

/// The domain separation tag of the challenge: context string and "chal".
const TAG: &[u8] = b"FROST-secp256k1-SHA256-v1chal";

/// Checks a signature with a public key, each as the scheme's verifier takes it. Every verifier of the scheme must take it.
pub fn verify(scheme: Scheme, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    for (name, verifier) in verifiers(scheme) {
        verifier(public_key, message, signature).with_context(|| format!("{name} does not verify it"))?;
    }
    Ok(())
}

/// The verifiers of a scheme, with their names.
fn verifiers(scheme: Scheme) -> Vec<(&'static str, Verifier)> {
    match scheme {
        Scheme::SchnorrSecp256k1 => vec![("frost-secp256k1", zcash), ("the equation over k256", equation)],
        Scheme::Bip340 => vec![("k256", bip340_k256), ("libsecp256k1", bip340_libsecp256k1)],
        Scheme::Ed25519 => vec![("ed25519-dalek", ed25519)],
    }
}

/// FROST's signatures as the Zcash Foundation verifies them.
fn zcash(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    let key = frost_secp256k1::VerifyingKey::deserialize(public_key).context("the public key is no point")?;
    let signature = frost_secp256k1::Signature::deserialize(signature).context("the signature is not one")?;
    key.verify(message, &signature).context("the signature is not valid")
}

/// RFC 9591 section 6.5, ours: for a signature R, z over the message, z·G = R + c·P.
fn equation(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
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
    ensure!(left == right, "the signature is not valid");
    Ok(())
}

fn bip340_k256(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    // it panics on other lengths
    ensure!(public_key.len() == 32, "a public key has 32 bytes, got {}", public_key.len());
    ensure!(signature.len() == 64, "a signature has 64 bytes, got {}", signature.len());
    let key = k256::schnorr::VerifyingKey::from_bytes(public_key).context("the public key is no point")?;
    let parsed = k256::schnorr::Signature::try_from(signature).context("the signature is not one")?;
    key.verify_raw(message, &parsed).context("the signature is not valid")
}

/// With the library that Bitcoin's nodes use.
fn bip340_libsecp256k1(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    let key = XOnlyPublicKey::from_slice(public_key).context("the public key is no point")?;
    let parsed = schnorr::Signature::from_slice(signature).context("the signature is not one")?;
    let message = secp256k1::Message::from_digest_slice(message).context("the message has not 32 bytes")?;
    secp256k1::Secp256k1::verification_only()
        .verify_schnorr(&parsed, &message, &key)
        .context("the signature is not valid")
}

fn ed25519(public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<()> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(public_key.try_into()?)?;
    let signature = ed25519_dalek::Signature::from_slice(signature)?;
    key.verify_strict(message, &signature).context("the signature is not valid")
}

#[cfg(test)]
mod tests {
    use countersign_types::{Bytes, PublicKey, Signature};
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        public_key: PublicKey,
        message: Bytes,
        signature: Signature,
    }

    /// A signature from the scheme's standard, and another public key.
    fn case(scheme: Scheme) -> (Case, Vec<u8>) {
        match scheme {
            Scheme::SchnorrSecp256k1 => {
                let vector = include_str!("../../crates/threshold/vectors/rfc9591-secp256k1.json");
                let case: Case = serde_json::from_str(vector).expect("a vector");
                let mut other = case.public_key.0.to_vec();
                // the point on the other side of the curve
                other[0] ^= 1;
                (case, other)
            }
            Scheme::Bip340 => two_of(include_str!("../../crates/threshold/vectors/bip340.json")),
            Scheme::Ed25519 => two_of(include_str!("../../crates/threshold/vectors/rfc8032.json")),
        }
    }

    /// The second case, and the public key of the first.
    fn two_of(vectors: &str) -> (Case, Vec<u8>) {
        let mut vectors: Value = serde_json::from_str(vectors).expect("vectors");
        let mut case = |index: usize| -> Case {
            serde_json::from_value(vectors["cases"][index].take()).expect("a case")
        };
        let other = case(0).public_key.0.to_vec();
        (case(1), other)
    }

    fn changed(bytes: &[u8], index: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes[index] ^= 1;
        bytes
    }

    #[test]
    fn every_verifier_takes_a_signature_and_none_that_was_changed() {
        for scheme in Scheme::ALL {
            let (Case { public_key, message, signature }, other) = case(scheme);
            verify(scheme, &public_key.0, &message, &signature.0).expect("a signature of the standard");
            for (name, verifier) in verifiers(scheme) {
                let refuses = |what: &str, key: &[u8], message: &[u8], signature: &[u8]| {
                    assert!(verifier(key, message, signature).is_err(), "{name} takes {what}");
                };
                refuses("another message", &public_key.0, &changed(&message, 0), &signature.0);
                refuses("another key", &other, &message, &signature.0);
                refuses("a key that is cut", &public_key.0[1..], &message, &signature.0);
                let last = signature.0.len() - 1;
                for index in [0, 1, last - 31, last] {
                    let changed = changed(&signature.0, index);
                    refuses("a signature that was changed", &public_key.0, &message, &changed);
                }
                for length in [0, 31, last] {
                    refuses("a signature that is cut", &public_key.0, &message, &signature.0[..length]);
                }
                let longer = [&signature.0[..], &[0]].concat();
                refuses("a signature that is longer", &public_key.0, &message, &longer);
            }
        }
    }

    #[test]
    fn one_verifier_that_refuses_is_enough() {
        let (Case { public_key, message, signature }, _) = case(Scheme::SchnorrSecp256k1);
        let refused = verify(Scheme::SchnorrSecp256k1, &public_key.0, &changed(&message, 0), &signature.0);
        let said = format!("{:#}", refused.expect_err("another message"));
        assert!(said.starts_with("frost-secp256k1 does not verify it"), "{said}");
    }
}
