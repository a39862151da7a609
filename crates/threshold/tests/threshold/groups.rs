//! The groups of the schemes without the suites: independent arithmetic and verifiers, which the crate is held
//! against.

use countersign_types::{KeyId, PublicKey, Scheme, Signature};
use curve25519_dalek::{
    EdwardsPoint,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
    edwards::CompressedEdwardsY,
};
use k256::{
    AffinePoint, ProjectivePoint, Scalar, U256,
    elliptic_curve::{
        PrimeField,
        group::GroupEncoding,
        hash2curve::{ExpandMsgXmd, hash_to_field},
        ops::Reduce,
    },
    sha2::Sha256,
};

type EdScalar = curve25519_dalek::Scalar;

/// The generator's encoding.
pub(crate) fn generator(scheme: Scheme) -> Vec<u8> {
    match scheme {
        Scheme::SchnorrSecp256k1 | Scheme::Bip340 => ProjectivePoint::GENERATOR.to_bytes().to_vec(),
        Scheme::Ed25519 => ED25519_BASEPOINT_POINT.compress().to_bytes().to_vec(),
    }
}

/// Encodings that are no element's, made of an element's where that is possible.
pub(crate) fn no_elements(scheme: Scheme, of: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    match scheme {
        Scheme::SchnorrSecp256k1 | Scheme::Bip340 => vec![
            ("the identity", vec![0; 33]),
            ("off the curve", [&of[..1], &[0xff; 32]].concat()),
            ("the compact form", [&[5], &of[1..]].concat()),
            ("no tag", [&[0], &of[1..]].concat()),
            ("another length", of[1..].to_vec()),
        ],
        Scheme::Ed25519 => {
            let point = ed_point(of);
            let mut cases = vec![
                ("off the curve", [&[2], &[0; 31][..]].concat()),
                ("another length", of[1..].to_vec()),
                ("the identity", encode(EIGHT_TORSION[0])),
                ("the identity with a sign", flip(&encode(EIGHT_TORSION[0]))),
                ("the second order with a sign", flip(&encode(EIGHT_TORSION[4]))),
            ];
            cases.extend(EIGHT_TORSION[1..].iter().map(|torsion| ("small order", encode(*torsion))));
            cases.extend(EIGHT_TORSION[1..].iter().map(|torsion| ("mixed order", encode(point + torsion))));
            cases.extend(beyond_the_field().map(|bytes| ("y is not below p", bytes)));
            cases
        }
    }
}

/// Every y from p to 2^255 - 1, with either sign.
fn beyond_the_field() -> impl Iterator<Item = Vec<u8>> {
    (0xed..=0xff_u8).flat_map(|low| {
        [0x7f, 0xff].map(|high| {
            let mut bytes = vec![0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            bytes
        })
    })
}

fn encode(point: EdwardsPoint) -> Vec<u8> {
    point.compress().to_bytes().to_vec()
}

fn flip(encoding: &[u8]) -> Vec<u8> {
    let mut flipped = encoding.to_vec();
    flipped[31] ^= 0x80;
    flipped
}

fn ed_point(encoding: &[u8]) -> EdwardsPoint {
    CompressedEdwardsY::from_slice(encoding).expect("32 bytes").decompress().expect("a point")
}

fn point(encoding: &[u8]) -> ProjectivePoint {
    let encoding = k256::CompressedPoint::clone_from_slice(encoding);
    AffinePoint::from_bytes(&encoding).expect("a point").into()
}

fn scalar(encoding: &[u8]) -> Scalar {
    Scalar::from_repr(*k256::FieldBytes::from_slice(encoding)).expect("a scalar")
}

fn ed_scalar(encoding: &[u8]) -> EdScalar {
    EdScalar::from_canonical_bytes(encoding.try_into().expect("32 bytes")).expect("a scalar")
}

/// The scalar with one added, or taken away.
pub(crate) fn shifted(scheme: Scheme, encoding: &[u8], up: bool) -> Vec<u8> {
    match scheme {
        Scheme::SchnorrSecp256k1 | Scheme::Bip340 => {
            let by = if up { Scalar::ONE } else { -Scalar::ONE };
            (scalar(encoding) + by).to_bytes().to_vec()
        }
        Scheme::Ed25519 => {
            let by = if up { EdScalar::ONE } else { -EdScalar::ONE };
            (ed_scalar(encoding) + by).to_bytes().to_vec()
        }
    }
}

/// The digest of a derivation modulo the group's order.
pub(crate) fn tweak(scheme: Scheme, root: &PublicKey, key: &KeyId) -> Vec<u8> {
    let mut digest = key.derivation_digest(root).0;
    match scheme {
        Scheme::SchnorrSecp256k1 | Scheme::Bip340 => {
            <Scalar as Reduce<U256>>::reduce_bytes(&digest.into()).to_bytes().to_vec()
        }
        Scheme::Ed25519 => {
            digest.reverse();
            EdScalar::from_bytes_mod_order(digest).to_bytes().to_vec()
        }
    }
}

/// The whole point of a child.
pub(crate) fn child(scheme: Scheme, root: &PublicKey, key: &KeyId) -> Vec<u8> {
    let tweak = tweak(scheme, root, key);
    match scheme {
        Scheme::SchnorrSecp256k1 | Scheme::Bip340 => {
            (point(&root.0) + ProjectivePoint::GENERATOR * scalar(&tweak)).to_bytes().to_vec()
        }
        Scheme::Ed25519 => encode(ed_point(&root.0) + ED25519_BASEPOINT_POINT * ed_scalar(&tweak)),
    }
}

/// What verifiers take for this point.
pub(crate) fn public_key(scheme: Scheme, point: &[u8]) -> PublicKey {
    match scheme {
        Scheme::SchnorrSecp256k1 | Scheme::Ed25519 => PublicKey(point.to_vec().into()),
        Scheme::Bip340 => PublicKey(point[1..].to_vec().into()),
    }
}

/// Whether the verifiers that know nothing of this crate accept. They must agree.
pub(crate) fn holds(scheme: Scheme, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    match scheme {
        Scheme::SchnorrSecp256k1 => rfc_9591(key, message, signature),
        Scheme::Bip340 => {
            let (one, other) = (bip340_k256(key, message, signature), bip340_core(key, message, signature));
            assert_eq!(one, other, "two verifiers of BIP-340 disagree");
            one
        }
        Scheme::Ed25519 => strict(key, message, signature),
    }
}

/// RFC 9591 section 6.5 from the curve alone: z G = R + H2(R, Y, m) Y.
fn rfc_9591(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let (nonce, z) = signature.0.split_at(33);
    let mut challenge = [Scalar::ZERO];
    let transcript: [&[u8]; 3] = [nonce, &key.0, message];
    let tag: [&[u8]; 1] = [b"FROST-secp256k1-SHA256-v1chal"];
    hash_to_field::<ExpandMsgXmd<Sha256>, Scalar>(&transcript, &tag, &mut challenge).expect("short enough");
    ProjectivePoint::GENERATOR * scalar(z) == point(nonce) + point(&key.0) * challenge[0]
}

fn bip340_k256(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let Ok(key) = k256::schnorr::VerifyingKey::from_bytes(&key.0) else { return false };
    let Ok(signature) = k256::schnorr::Signature::try_from(&signature.0[..]) else { return false };
    key.verify_raw(message, &signature).is_ok()
}

/// By libsecp256k1, which Bitcoin's nodes verify with.
fn bip340_core(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let (Ok(key), Ok(signature)) = (key.0[..].try_into(), signature.0[..].try_into()) else { return false };
    let Ok(key) = secp256k1::XOnlyPublicKey::from_byte_array(key) else { return false };
    let signature = secp256k1::schnorr::Signature::from_byte_array(signature);
    secp256k1::Secp256k1::verification_only().verify_schnorr(&signature, message, &key).is_ok()
}

fn strict(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let Ok(key) = ed25519_dalek::VerifyingKey::try_from(&key.0[..]) else { return false };
    let Ok(signature) = ed25519_dalek::Signature::from_slice(&signature.0) else { return false };
    key.verify_strict(message, &signature).is_ok()
}
