//! Key generation, derivation and signing from end to end, checked by a verifier of its own.

use std::collections::BTreeMap;

use countersign_threshold::{
    AggregateError, Commitments, PackageError, SignError, SignatureShare, SigningPackage, VerifyError, verify,
};
use countersign_types::{Bytes, KeyId, Scheme, Signature};

use crate::{
    groups::{holds, no_elements, shifted},
    members::{Derived, derive, every_scheme, generate, id, subsets},
};

every_scheme! {
    any_threshold_of_the_members_signs,
    more_than_the_threshold_sign_too,
    fewer_than_the_threshold_get_no_share,
    children_of_one_root_are_different_keys,
    every_set_of_bad_shares_is_named_and_nobody_else,
    two_wrong_shares_that_cancel_out_make_a_signature,
    malformed_shares_are_named_with_the_wrong_ones,
    shares_must_be_those_of_the_signers,
    nonces_do_not_serve_another_package,
    packages_with_strangers_or_malformed_commitments_are_refused,
    a_share_depends_on_message_and_signers,
    secrets_are_not_printed,
}

const KEY: KeyId = KeyId(countersign_types::B256::repeat_byte(7));
const MESSAGE: &[u8] = b"the bytes that are signed";

fn check(derived: &Derived, signature: &Signature) {
    let key = derived.public.public_key();
    let scheme = derived.public.scheme();
    assert_eq!((key.0.len(), signature.0.len()), (scheme.public_key_len(), scheme.signature_len()));
    assert!(holds(scheme, &key, MESSAGE, signature));
    assert!(!holds(scheme, &key, b"other bytes", signature));
    assert_eq!(verify(scheme, &key, MESSAGE, signature), Ok(()));
    assert_eq!(derived.public.verify(MESSAGE, signature), Ok(()));
    assert_eq!(derived.public.verify(b"other bytes", signature), Err(VerifyError::Wrong));
}

fn any_threshold_of_the_members_signs(scheme: Scheme) {
    for (threshold, size) in [(2u16, 3u16), (3, 5), (2, 2), (4, 4)] {
        let derived = derive(&generate(scheme, threshold, size, 1), &KEY);
        for signers in subsets(size, threshold.into()) {
            let (package, shares) = derived.sign(&signers, MESSAGE, 2);
            let signature = derived.public.aggregate(&package, &shares).expect("honest");
            check(&derived, &signature);
        }
    }
}

fn more_than_the_threshold_sign_too(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    for count in [4, 5] {
        for signers in subsets(5, count) {
            let (package, shares) = derived.sign(&signers, MESSAGE, 3);
            check(&derived, &derived.public.aggregate(&package, &shares).expect("honest"));
        }
    }
}

fn fewer_than_the_threshold_get_no_share(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    let (nonces, commitments) = derived.commit(&[id(1), id(2)], 2);
    let package = SigningPackage::new(commitments, MESSAGE.to_vec());
    let few = PackageError::TooFewSigners { expected: 3, got: 2 };
    for (signer, nonces) in nonces {
        let refused = nonces.sign(&package, &derived.shares[&signer]);
        assert_eq!(refused, Err(SignError::Package(few.clone())));
    }
    let refused = derived.public.aggregate(&package, &BTreeMap::new());
    assert_eq!(refused, Err(AggregateError::Package(few)));
}

fn children_of_one_root_are_different_keys(scheme: Scheme) {
    let roots = generate(scheme, 2, 3, 1);
    let (one, other) = (derive(&roots, &KEY), derive(&roots, &KeyId::from([8; 32])));
    assert_ne!(one.public.public_key(), other.public.public_key());
    let (package, shares) = one.sign(&[id(1), id(3)], MESSAGE, 2);
    let signature = one.public.aggregate(&package, &shares).expect("honest");
    assert!(!holds(scheme, &other.public.public_key(), MESSAGE, &signature));
    assert_eq!(other.public.verify(MESSAGE, &signature), Err(VerifyError::Wrong));
    assert!(other.public.aggregate(&package, &shares).is_err());
}

fn every_set_of_bad_shares_is_named_and_nobody_else(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    let signers = [id(1), id(2), id(4), id(5)];
    let (package, shares) = derived.sign(&signers, MESSAGE, 2);
    for count in 1..=4 {
        for culprits in subsets(4, count) {
            let culprits: Vec<_> = culprits.into_iter().map(|n| signers[usize::from(n.get()) - 1]).collect();
            let mut tampered = shares.clone();
            for culprit in &culprits {
                let mut bytes = shares[culprit].as_bytes().to_vec();
                // A different difference for each, so that no two of them cancel out.
                bytes[usize::from(culprit.get())] ^= 1;
                tampered.insert(*culprit, Bytes::from(bytes).try_into().expect("as long"));
            }
            let refused = derived.public.aggregate(&package, &tampered);
            assert_eq!(refused, Err(AggregateError::BadShares { culprits }));
        }
    }
}

fn two_wrong_shares_that_cancel_out_make_a_signature(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    let (package, mut shares) = derived.sign(&[id(1), id(2), id(4)], MESSAGE, 2);
    let shift = |share: &SignatureShare, up| {
        SignatureShare::try_from(Bytes::from(shifted(scheme, share.as_bytes(), up))).expect("as long")
    };
    shares.insert(id(1), shift(&shares[&id(1)], true));
    shares.insert(id(2), shift(&shares[&id(2)], false));
    check(&derived, &derived.public.aggregate(&package, &shares).expect("the sum is right"));
}

fn malformed_shares_are_named_with_the_wrong_ones(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    let (package, shares) = derived.sign(&[id(1), id(2), id(4)], MESSAGE, 2);
    for malformed in [vec![], vec![1; 31], vec![0xff; 32]] {
        let share = SignatureShare::try_from(Bytes::from(malformed)).expect("short");
        let mut tampered = shares.clone();
        tampered.insert(id(2), share.clone());
        let refused = derived.public.aggregate(&package, &tampered);
        assert_eq!(refused, Err(AggregateError::BadShares { culprits: vec![id(2)] }));
        tampered.insert(id(1), shares[&id(4)].clone());
        let refused = derived.public.aggregate(&package, &tampered);
        assert_eq!(refused, Err(AggregateError::BadShares { culprits: vec![id(1), id(2)] }));
    }
}

fn shares_must_be_those_of_the_signers(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    let (package, shares) = derived.sign(&[id(1), id(2), id(4)], MESSAGE, 2);
    let mut moved = shares.clone();
    let share = moved.remove(&id(4)).expect("signed");
    let missing = derived.public.aggregate(&package, &moved);
    assert_eq!(missing, Err(AggregateError::Signers { missing: vec![id(4)], unexpected: vec![] }));
    moved.insert(id(5), share);
    let unexpected = derived.public.aggregate(&package, &moved);
    let both = AggregateError::Signers { missing: vec![id(4)], unexpected: vec![id(5)] };
    assert_eq!(unexpected, Err(both));
}

fn nonces_do_not_serve_another_package(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    let signers = [id(1), id(2), id(4)];
    let (_, commitments) = derived.commit(&signers, 2);
    let others = SigningPackage::new(commitments.clone(), MESSAGE.to_vec());
    let (mut nonces, fresh) = derived.commit(&signers, 3);
    let mut take = |signer| nonces.remove(&signer).expect("committed");

    let refused = take(id(1)).sign(&others, &derived.shares[&id(1)]);
    assert_eq!(refused, Err(SignError::OtherCommitments { me: id(1) }));

    let mut without = fresh.clone();
    without.remove(&id(2));
    let refused = take(id(2)).sign(&SigningPackage::new(without, MESSAGE.to_vec()), &derived.shares[&id(2)]);
    assert_eq!(refused, Err(SignError::NotASigner { me: id(2) }));

    let own = SigningPackage::new(fresh, MESSAGE.to_vec());
    let refused = take(id(4)).sign(&own, &derived.shares[&id(1)]);
    assert_eq!(refused, Err(SignError::OtherCommitments { me: id(1) }));
}

fn packages_with_strangers_or_malformed_commitments_are_refused(scheme: Scheme) {
    let derived = derive(&generate(scheme, 3, 5, 1), &KEY);
    let signers = [id(1), id(2), id(4)];
    let some = derived.commit(&signers, 2).1[&id(1)].clone();
    let half = some.as_bytes()[..scheme.root_key_len()].to_vec();
    let malformed = no_elements(scheme, &half)
        .into_iter()
        .flat_map(|(_, other)| [[&other[..], &half].concat(), [&half[..], &other].concat()]);
    let mut cases: Vec<_> = [vec![], half.clone()]
        .into_iter()
        .chain(malformed)
        .map(|bytes| {
            let malformed = Commitments::try_from(Bytes::from(bytes)).expect("short");
            (id(2), malformed, PackageError::MalformedCommitments { signer: id(2) })
        })
        .collect();
    cases.push((id(6), some, PackageError::UnknownSigner { signer: id(6), size: 5 }));

    for (signer, commitments, expected) in cases {
        let (mut nonces, mut package) = derived.commit(&signers, 2);
        package.insert(signer, commitments);
        let package = SigningPackage::new(package, MESSAGE.to_vec());
        let refused = nonces.remove(&id(1)).expect("committed").sign(&package, &derived.shares[&id(1)]);
        assert_eq!(refused, Err(SignError::Package(expected.clone())));
        let refused = derived.public.aggregate(&package, &BTreeMap::new());
        assert_eq!(refused, Err(AggregateError::Package(expected)));
    }
}

fn a_share_depends_on_message_and_signers(scheme: Scheme) {
    let derived = derive(&generate(scheme, 2, 3, 1), &KEY);
    let (_, one) = derived.sign(&[id(1), id(2)], MESSAGE, 2);
    let (_, other_message) = derived.sign(&[id(1), id(2)], b"other bytes", 2);
    let (_, other_signers) = derived.sign(&[id(1), id(3)], MESSAGE, 2);
    assert_ne!(one[&id(1)], other_message[&id(1)]);
    assert_ne!(one[&id(1)], other_signers[&id(1)]);
}

fn secrets_are_not_printed(scheme: Scheme) {
    let roots = generate(scheme, 2, 3, 1);
    let derived = derive(&roots, &KEY);
    let (nonces, _) = derived.commit(&[id(1)], 2);
    let record = roots[&id(1)].to_bytes();
    let secret = hex::encode(&record[7..39]);
    let printed = format!("{:?} {:?} {:?}", roots[&id(1)], derived.shares[&id(1)], nonces);
    assert!(!printed.contains(&secret), "{printed}");
    assert!(!printed.contains("nonce:") && !printed.contains("hiding"), "{printed}");
}
