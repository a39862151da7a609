//! BIP-340 knows even points only; root, child and nonce here are of either parity. And no root hides a script
//! path.

use std::collections::{BTreeMap, BTreeSet};

use countersign_threshold::{SigningPackage, dkg};
use countersign_types::{Identifier, KeyId, PublicKey, Scheme};
use frost_core::{
    SigningPackage as FrostPackage, VerifyingKey, compute_binding_factor_list, compute_group_commitment,
    round1::{NonceCommitment, SigningCommitments},
};
use frost_secp256k1_tr::Secp256K1Sha256TR as Suite;
use k256::{
    ProjectivePoint, Scalar, U256,
    elliptic_curve::{group::GroupEncoding, ops::Reduce},
    sha2::{Digest, Sha256},
};

use crate::{
    groups::{child, holds},
    members::{derive, every_scheme, generate, id, start},
};

every_scheme! {
    the_root_is_the_sum_of_the_commitments_without_a_script_path,
}

fn is_odd(point: &[u8]) -> bool {
    point[0] == 3
}

#[test]
fn keys_sign_whatever_the_parity_of_root_child_and_nonce() {
    let mut seen = BTreeSet::new();
    for seed in 0..8 {
        let roots = generate(Scheme::Bip340, 2, 3, seed);
        let root = roots[&id(1)].root_key().public_key;
        for byte in 0..4 {
            let key = KeyId::from([byte; 32]);
            let derived = derive(&roots, &key);
            let point = child(Scheme::Bip340, &root, &key);
            let (package, shares) = derived.sign(&[id(1), id(3)], b"bytes", seed);
            seen.insert((is_odd(&root.0), is_odd(&point), nonce_is_odd(&package, &point)));
            let signature = derived.public.aggregate(&package, &shares).expect("honest");
            assert!(holds(Scheme::Bip340, &derived.public.public_key(), b"bytes", &signature));
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

/// The parity of the sum of all nonces' commitments, with binding factors, before the suite makes it even.
fn nonce_is_odd(package: &SigningPackage, key: &[u8]) -> bool {
    let commitment = |bytes| NonceCommitment::<Suite>::deserialize(bytes).expect("a point");
    let commitments = package.commitments.iter().map(|(signer, bytes)| {
        let (hiding, binding) = bytes.as_bytes().split_at(33);
        let signer = frost_core::Identifier::try_from(signer.get()).expect("not zero");
        (signer, SigningCommitments::new(commitment(hiding), commitment(binding)))
    });
    let package = FrostPackage::new(commitments.collect(), &package.message);
    let even = [&[2], &key[1..]].concat();
    let key = VerifyingKey::deserialize(&even).expect("a point");
    let factors = compute_binding_factor_list(&package, &key, &[]).expect("commitments");
    let sum = compute_group_commitment(&package, &factors).expect("commitments").to_element();
    is_odd(&sum.to_bytes())
}

fn the_root_is_the_sum_of_the_commitments_without_a_script_path(scheme: Scheme) {
    for seed in 0..6 {
        let started = start(scheme, 2, 3, seed);
        let constants: Vec<_> =
            started.broadcasts.values().map(|bytes| bytes[..scheme.root_key_len()].to_vec()).collect();
        let dealt = started.deal();
        let root = finish(dealt.states, dealt.private);
        assert_eq!(&root.0[..], expected(scheme, &constants), "seed {seed}");
    }
}

fn finish(
    mut states: BTreeMap<Identifier, dkg::Round2>,
    mut private: BTreeMap<Identifier, BTreeMap<Identifier, dkg::PrivatePackage>>,
) -> PublicKey {
    let state = states.remove(&id(2)).expect("a member");
    state.finish(private.remove(&id(2)).expect("dealt to")).expect("honest").root_key().public_key
}

/// The sum of the constants; in BIP-340 with one tweak by the hash of itself, as BIP-341 has it for keys without
/// a script path.
fn expected(scheme: Scheme, constants: &[Vec<u8>]) -> Vec<u8> {
    if scheme == Scheme::Ed25519 {
        let point = |bytes: &[u8]| {
            curve25519_dalek::edwards::CompressedEdwardsY::from_slice(bytes).expect("32 bytes").decompress()
        };
        let sum: curve25519_dalek::EdwardsPoint =
            constants.iter().map(|bytes| point(bytes).expect("a point")).sum();
        return sum.compress().to_bytes().to_vec();
    }
    let point = |bytes: &[u8]| {
        ProjectivePoint::from_bytes(k256::CompressedPoint::from_slice(bytes)).expect("a point")
    };
    let sum: ProjectivePoint = constants.iter().map(|bytes| point(bytes)).sum();
    if scheme == Scheme::SchnorrSecp256k1 {
        return sum.to_bytes().to_vec();
    }
    let x = &sum.to_bytes()[1..];
    let tag = Sha256::digest(b"TapTweak");
    let tweak = Sha256::new().chain_update(tag).chain_update(tag).chain_update(x).finalize();
    let tweak = <Scalar as Reduce<U256>>::reduce_bytes(&tweak);
    (point(&[&[2], x].concat()) + ProjectivePoint::GENERATOR * tweak).to_bytes().to_vec()
}
