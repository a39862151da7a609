//! Verification against the vectors of the standards, and against second encodings.

use countersign_threshold::{VerifyError, derive_public_key, verify};
use countersign_types::{Bytes, KeyId, PublicKey, Scheme, Signature};
use serde::Deserialize;

use crate::{
    groups::{generator, holds, no_elements, public_key},
    members::{derive, every_scheme, generate, id},
};

every_scheme! {
    no_second_encoding_of_key_or_signature_verifies,
    a_root_in_a_second_encoding_has_no_children,
}

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    public_key: PublicKey,
    message: Bytes,
    signature: Signature,
    #[serde(default = "yes")]
    valid: bool,
}

fn yes() -> bool {
    true
}

fn check(scheme: Scheme, vectors: &str) {
    let vectors: Vectors = serde_json::from_str(vectors).expect("vectors");
    assert!(vectors.cases.len() > 3);
    for (index, Case { public_key, message, signature, valid }) in vectors.cases.into_iter().enumerate() {
        let verified = verify(scheme, &public_key, &message, &signature);
        assert_eq!(verified.is_ok(), valid, "{index}: {verified:?}");
        assert_eq!(holds(scheme, &public_key, &message, &signature), valid, "{index}");
    }
}

#[test]
fn bip_340_is_verified_as_its_vectors_say() {
    check(Scheme::Bip340, include_str!("../../vectors/bip340.json"));
}

#[test]
fn ed25519_is_verified_as_the_vectors_of_rfc_8032_say() {
    check(Scheme::Ed25519, include_str!("../../vectors/rfc8032.json"));
}

fn no_second_encoding_of_key_or_signature_verifies(scheme: Scheme) {
    let derived = derive(&generate(scheme, 2, 3, 1), &KeyId::from([7; 32]));
    let (package, shares) = derived.sign(&[id(1), id(2)], b"bytes", 2);
    let signature = derived.public.aggregate(&package, &shares).expect("honest").0.to_vec();
    let key = derived.public.public_key();
    let verify =
        |key: &PublicKey, signature: Vec<u8>| verify(scheme, key, b"bytes", &Signature(signature.into()));
    assert_eq!(verify(&key, signature.clone()), Ok(()));

    let nonce_len = scheme.signature_len() - 32;
    let (nonce, scalar) = signature.split_at(nonce_len);
    let encodings = [
        [nonce, &[0xff; 32]].concat(),
        [&vec![0xff; nonce_len], scalar].concat(),
        [&vec![0; nonce_len], scalar].concat(),
        [&signature[..], &[0]].concat(),
        signature[1..].to_vec(),
        vec![],
        plus_order(scheme, &signature),
    ];
    for altered in encodings {
        let refused = verify(&key, altered.clone());
        assert!(matches!(refused, Err(VerifyError::Encoding { .. })), "{altered:02x?}: {refused:?}");
    }
    if scheme != Scheme::Bip340 {
        for (what, other) in no_elements(scheme, nonce) {
            let refused = verify(&key, [&other, scalar].concat());
            assert!(matches!(refused, Err(VerifyError::Encoding { .. })), "{what}: {refused:?}");
        }
    }
    for (what, other) in no_elements(scheme, &generator(scheme)) {
        // without its parity, a point of BIP-340 is another's key
        if scheme == Scheme::Bip340 && matches!(what, "the compact form" | "no tag" | "another length") {
            continue;
        }
        let refused = verify(&public_key(scheme, &other), signature.clone());
        assert!(matches!(refused, Err(VerifyError::PublicKey { .. })), "{what}: {refused:?}");
    }
    for other in [vec![], key.0[1..].to_vec(), [&key.0[..], &[0]].concat(), [&[2], &key.0[..]].concat()] {
        let refused = verify(&PublicKey(other.clone().into()), signature.clone());
        assert!(matches!(refused, Err(VerifyError::PublicKey { .. })), "{other:02x?}: {refused:?}");
    }
}

/// The signature with the group's order added to its scalar: the malleated form, where that fits 32 bytes.
fn plus_order(scheme: Scheme, signature: &[u8]) -> Vec<u8> {
    const ED25519_ORDER: [u8; 32] = {
        let low = 27_742_317_777_372_353_535_851_937_790_883_648_493_u128.to_le_bytes();
        let mut order = [0; 32];
        let mut index = 0;
        while index < low.len() {
            order[index] = low[index];
            index += 1;
        }
        order[31] = 0x10;
        order
    };
    let (nonce, scalar) = signature.split_at(signature.len() - 32);
    match scheme {
        // as good as never below 2^256
        Scheme::SchnorrSecp256k1 | Scheme::Bip340 => [nonce, &[0xff; 32]].concat(),
        Scheme::Ed25519 => {
            let mut carry = 0;
            let sum = scalar.iter().zip(ED25519_ORDER).map(|(a, b)| {
                let sum = u16::from(*a) + u16::from(b) + carry;
                carry = sum >> 8;
                sum.to_le_bytes()[0]
            });
            [nonce, &sum.collect::<Vec<_>>()].concat()
        }
    }
}

fn a_root_in_a_second_encoding_has_no_children(scheme: Scheme) {
    let key = KeyId::from([7; 32]);
    let root = PublicKey(generator(scheme).into());
    assert!(derive_public_key(&root, scheme, &key).is_ok());
    for (what, other) in no_elements(scheme, &generator(scheme)) {
        let refused = derive_public_key(&PublicKey(other.into()), scheme, &key);
        assert!(refused.is_err(), "{what}");
    }
}
