//! Root keys, share records and derivation.

use std::sync::OnceLock;

use countersign_threshold::{RootError, RootPublic, RootShare, ShareError, derive_public_key};
use countersign_types::{B256, KeyId, PublicKey, RootKey, Scheme};
use k256::{
    ProjectivePoint, U256,
    elliptic_curve::{PrimeField, group::GroupEncoding, ops::Reduce},
};
use proptest::prelude::*;
use serde::Deserialize;

use crate::members::{SCHEME, derive, generate, id};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    scheme: Scheme,
    root: PublicKey,
    key: KeyId,
    tweak: B256,
    public_key: PublicKey,
}

#[test]
fn derivation_gives_the_vectors() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../vectors/derivation.json")).expect("vectors");
    assert!(!vectors.cases.is_empty());
    for case in vectors.cases {
        let digest = case.key.derivation_digest(&case.root);
        let tweak = <k256::Scalar as Reduce<U256>>::reduce_bytes(&digest.0.into());
        assert_eq!(tweak.to_repr().as_slice(), case.tweak.as_slice(), "{}", case.key);
        assert_eq!(derive_public_key(&case.root, case.scheme, &case.key), Ok(case.public_key));
    }
}

#[test]
fn a_key_derived_offline_is_the_one_that_the_shares_sign_for() {
    let roots = generate(3, 5, 1);
    let root = roots[&id(1)].root_key();
    for byte in 0..4 {
        let key = KeyId::from([byte; 32]);
        let offline = derive_public_key(&root.public_key, SCHEME, &key).expect("a child");
        let derived = derive(&roots, &key);
        assert_eq!(derived.public.public_key(), offline);
        assert!(derived.shares.values().all(|share| share.public_key() == offline));
        let tweak =
            <k256::Scalar as Reduce<U256>>::reduce_bytes(&key.derivation_digest(&root.public_key).0.into());
        let point = ProjectivePoint::from_bytes(k256::CompressedPoint::from_slice(&root.public_key.0));
        let child = point.expect("a point") + ProjectivePoint::GENERATOR * tweak;
        assert_eq!(child.to_bytes().as_slice(), &offline.0[..]);
    }
}

#[test]
fn all_members_hold_shares_of_one_root() {
    let roots = generate(3, 5, 1);
    let root = roots[&id(1)].root_key();
    assert_eq!(root.verifying_shares.len(), 5);
    for (me, share) in &roots {
        assert_eq!((share.identifier(), share.scheme(), share.threshold()), (*me, SCHEME, 3));
        assert_eq!(share.root_key(), root);
        assert_eq!(share.public().root_key(), root);
    }
    assert_ne!(generate(3, 5, 2)[&id(1)].root_key(), root);
}

#[test]
fn a_root_key_that_is_no_sharing_is_refused() {
    let roots = generate(3, 5, 1);
    let root = roots[&id(1)].root_key();
    let other = generate(3, 5, 2)[&id(1)].root_key();
    assert!(RootPublic::new(&root, 3).is_ok());
    for threshold in [0, 1, 2, 6] {
        assert!(matches!(RootPublic::new(&root, threshold), Err(RootError::Quorum(_))), "{threshold}");
    }
    for threshold in [4, 5] {
        assert!(matches!(RootPublic::new(&root, threshold), Err(RootError::Inconsistent { .. })));
    }
    let changes: [fn(&mut RootKey, &RootKey); 6] = [
        |root, other| root.public_key = other.public_key.clone(),
        |root, other| root.verifying_shares[4] = other.verifying_shares[4].clone(),
        |root, _| root.verifying_shares.swap(0, 1),
        |root, _| root.verifying_shares[2] = vec![0; 33].into(),
        |root, _| root.public_key = PublicKey(vec![0; 33].into()),
        |root, _| root.verifying_shares.truncate(3),
    ];
    for (index, change) in changes.into_iter().enumerate().take(5) {
        let mut changed = root.clone();
        change(&mut changed, &other);
        assert!(RootPublic::new(&changed, 3).is_err(), "change {index}");
    }
    // Three of the shares are a sharing of the same key, with the same polynomial.
    let mut fewer = root.clone();
    changes[5](&mut fewer, &other);
    assert!(RootPublic::new(&fewer, 3).is_ok());
}

fn record() -> &'static [u8] {
    static RECORD: OnceLock<Vec<u8>> = OnceLock::new();
    RECORD.get_or_init(|| generate(3, 5, 1)[&id(2)].to_bytes().to_vec())
}

#[test]
fn a_share_is_read_back_from_its_record() {
    for (threshold, size) in [(2, 3), (3, 5), (4, 4)] {
        for share in generate(threshold, size, 1).values() {
            let read = RootShare::from_bytes(SCHEME, &share.to_bytes()).expect("a record");
            assert_eq!(read.to_bytes(), share.to_bytes());
            assert_eq!(read.root_key(), share.root_key());
            assert_eq!(read.identifier(), share.identifier());
        }
    }
}

#[test]
fn a_record_of_a_hostile_disk_is_refused_with_the_reason() {
    let altered = |index: usize, value: u8| {
        let mut record = record().to_vec();
        record[index] = value;
        RootShare::from_bytes(SCHEME, &record).map(drop)
    };
    assert!(matches!(altered(0, 2), Err(ShareError::Version { got: 2 })));
    assert!(matches!(altered(2, 0), Err(ShareError::Identifier { got: 0, size: 5 })));
    assert!(matches!(altered(2, 6), Err(ShareError::Identifier { got: 6, size: 5 })));
    assert!(matches!(altered(2, 3), Err(ShareError::Mismatch { .. })));
    assert!(matches!(altered(4, 2), Err(ShareError::Root(RootError::Quorum(_)))));
    assert!(matches!(altered(4, 4), Err(ShareError::Root(RootError::Inconsistent { .. }))));
    assert!(matches!(altered(6, 4), Err(ShareError::Length { .. })));
    assert!(matches!(altered(5, 0xff), Err(ShareError::Length { .. })));
    assert!(matches!(altered(38, record()[38] ^ 1), Err(ShareError::Mismatch { .. })));

    let mut overflow = record().to_vec();
    overflow[7..39].fill(0xff);
    assert!(matches!(RootShare::from_bytes(SCHEME, &overflow), Err(ShareError::Scalar)));
    for length in 0..record().len() {
        let cut = RootShare::from_bytes(SCHEME, &record()[..length]);
        assert!(matches!(cut, Err(ShareError::Length { .. })), "{length}");
    }
    let longer = [record(), &[0]].concat();
    assert!(matches!(RootShare::from_bytes(SCHEME, &longer), Err(ShareError::Length { .. })));
}

#[test]
fn no_single_bit_of_a_record_can_be_another() {
    for index in 0..record().len() {
        for bit in 0..8 {
            let mut altered = record().to_vec();
            altered[index] ^= 1 << bit;
            assert!(RootShare::from_bytes(SCHEME, &altered).is_err(), "byte {index} bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn no_byte_of_a_record_can_be_another(index: prop::sample::Index, difference in 1..=u8::MAX) {
        let mut altered = record().to_vec();
        altered[index.index(record().len())] ^= difference;
        prop_assert!(RootShare::from_bytes(SCHEME, &altered).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(RootShare::from_bytes(SCHEME, &bytes).is_err());
    }
}
