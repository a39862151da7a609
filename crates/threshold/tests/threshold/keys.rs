//! Root keys, share records and derivation.

use std::collections::BTreeSet;

use countersign_threshold::{RootError, RootPublic, RootShare, ShareError, derive_public_key};
use countersign_types::{B256, KeyId, PublicKey, RootKey, Scheme};
use proptest::prelude::*;
use serde::Deserialize;

use crate::{
    groups::{child, public_key, tweak},
    members::{derive, every_scheme, generate, id},
};

every_scheme! {
    derivation_gives_the_vectors,
    a_key_derived_offline_is_the_one_that_the_shares_sign_for,
    all_members_hold_shares_of_one_root,
    a_root_key_that_is_no_sharing_is_refused,
    a_share_is_read_back_from_its_record,
    a_record_of_a_hostile_disk_is_refused_with_the_reason,
    no_single_bit_of_a_record_can_be_another,
}

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

fn derivation_gives_the_vectors(scheme: Scheme) {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../vectors/derivation.json")).expect("vectors");
    assert!(!vectors.cases.is_empty());
    let mut parities = BTreeSet::new();
    for case in vectors.cases.into_iter().filter(|case| case.scheme == scheme) {
        assert_eq!(tweak(scheme, &case.root, &case.key), case.tweak.as_slice(), "{}", case.key);
        parities.insert((case.root.0[0], child(scheme, &case.root, &case.key)[0]));
        assert_eq!(derive_public_key(&case.root, scheme, &case.key), Ok(case.public_key));
    }
    assert!(parities.len() >= 3, "vectors of every parity: {parities:?}");
}

fn a_key_derived_offline_is_the_one_that_the_shares_sign_for(scheme: Scheme) {
    let roots = generate(scheme, 3, 5, 1);
    let root = roots[&id(1)].root_key();
    for byte in 0..4 {
        let key = KeyId::from([byte; 32]);
        let offline = derive_public_key(&root.public_key, scheme, &key).expect("a child");
        let derived = derive(&roots, &key);
        assert_eq!(derived.public.public_key(), offline);
        assert!(derived.shares.values().all(|share| share.public_key() == offline));
        assert_eq!(offline, public_key(scheme, &child(scheme, &root.public_key, &key)));
    }
}

fn all_members_hold_shares_of_one_root(scheme: Scheme) {
    let roots = generate(scheme, 3, 5, 1);
    let root = roots[&id(1)].root_key();
    assert_eq!(root.verifying_shares.len(), 5);
    for (me, share) in &roots {
        assert_eq!((share.identifier(), share.scheme(), share.threshold()), (*me, scheme, 3));
        assert_eq!(share.root_key(), root);
        assert_eq!(share.public().root_key(), root);
    }
    assert_ne!(generate(scheme, 3, 5, 2)[&id(1)].root_key(), root);
}

fn a_root_key_that_is_no_sharing_is_refused(scheme: Scheme) {
    let roots = generate(scheme, 3, 5, 1);
    let root = roots[&id(1)].root_key();
    let other = generate(scheme, 3, 5, 2)[&id(1)].root_key();
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
        |root, _| root.verifying_shares[2] = vec![0xff; 33].into(),
        |root, _| root.public_key = PublicKey(vec![0xff; 33].into()),
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

fn record(scheme: Scheme) -> Vec<u8> {
    generate(scheme, 3, 5, 1)[&id(2)].to_bytes().to_vec()
}

fn a_share_is_read_back_from_its_record(scheme: Scheme) {
    for (threshold, size) in [(2, 3), (3, 5), (4, 4)] {
        for share in generate(scheme, threshold, size, 1).values() {
            let read = RootShare::from_bytes(scheme, &share.to_bytes()).expect("a record");
            assert_eq!(read.to_bytes(), share.to_bytes());
            assert_eq!(read.root_key(), share.root_key());
            assert_eq!(read.identifier(), share.identifier());
        }
    }
}

fn a_record_of_a_hostile_disk_is_refused_with_the_reason(scheme: Scheme) {
    let record = record(scheme);
    let altered = |index: usize, value: u8| {
        let mut record = record.clone();
        record[index] = value;
        RootShare::from_bytes(scheme, &record).map(drop)
    };
    assert!(matches!(altered(0, 2), Err(ShareError::Version { got: 2 })));
    assert!(matches!(altered(2, 0), Err(ShareError::Identifier { got: 0, size: 5 })));
    assert!(matches!(altered(2, 6), Err(ShareError::Identifier { got: 6, size: 5 })));
    assert!(matches!(altered(2, 3), Err(ShareError::Mismatch { .. })));
    assert!(matches!(altered(4, 2), Err(ShareError::Root(RootError::Quorum(_)))));
    assert!(matches!(altered(4, 4), Err(ShareError::Root(RootError::Inconsistent { .. }))));
    assert!(matches!(altered(6, 4), Err(ShareError::Length { .. })));
    assert!(matches!(altered(5, 0xff), Err(ShareError::Length { .. })));
    assert!(matches!(altered(22, record[22] ^ 1), Err(ShareError::Mismatch { .. })));

    let mut overflow = record.clone();
    overflow[7..39].fill(0xff);
    assert!(matches!(RootShare::from_bytes(scheme, &overflow), Err(ShareError::Scalar)));
    for length in 0..record.len() {
        let cut = RootShare::from_bytes(scheme, &record[..length]);
        assert!(matches!(cut, Err(ShareError::Length { .. })), "{length}");
    }
    let longer = [&record[..], &[0]].concat();
    assert!(matches!(RootShare::from_bytes(scheme, &longer), Err(ShareError::Length { .. })));
}

fn no_single_bit_of_a_record_can_be_another(scheme: Scheme) {
    let record = record(scheme);
    for index in 0..record.len() {
        for bit in 0..8 {
            let mut altered = record.clone();
            altered[index] ^= 1 << bit;
            assert!(RootShare::from_bytes(scheme, &altered).is_err(), "byte {index} bit {bit}");
        }
    }
}

fn schemes() -> impl Strategy<Value = Scheme> {
    prop::sample::select(Scheme::ALL.as_slice())
}

proptest! {
    #[test]
    fn no_byte_of_a_record_can_be_another(
        scheme in schemes(),
        index: prop::sample::Index,
        difference in 1..=u8::MAX,
    ) {
        let mut altered = record(scheme);
        let index = index.index(altered.len());
        altered[index] ^= difference;
        prop_assert!(RootShare::from_bytes(scheme, &altered).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        scheme in schemes(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(RootShare::from_bytes(scheme, &bytes).is_err());
    }
}
