//! What key generation does with members that break the protocol: the attempt ends, and they are named.

use std::collections::BTreeMap;

use countersign_threshold::{
    QuorumError, RootShare,
    dkg::{self, DkgError, PrivatePackage},
};
use countersign_types::{Bytes, Identifier, Scheme};

use crate::{
    groups::{generator, no_elements},
    members::{Dealt, every_scheme, generate, id, rng, start},
};

every_scheme! {
    an_honest_run_succeeds,
    the_broadcast_has_the_length_that_is_announced,
    illegal_parameters_are_refused,
    a_raised_or_lowered_threshold_is_named,
    malformed_and_identity_points_are_named,
    a_bad_proof_of_possession_is_named,
    the_commitments_of_another_member_are_no_own_ones,
    exactly_the_other_members_take_part,
    a_share_that_does_not_match_its_commitments_is_named,
    anybody_can_judge_a_complaint,
    members_that_saw_different_broadcasts_end_with_different_roots,
    private_packages_are_redacted_and_bounded,
}

/// What member 1 of a 3-of-5 makes of broadcasts in which member 2's is this one.
fn receive(scheme: Scheme, altered: impl FnOnce(&mut BTreeMap<Identifier, Bytes>)) -> Option<DkgError> {
    let mut started = start(scheme, 3, 5, 1);
    let state = started.states.remove(&id(1)).expect("started");
    let mut packages = started.others(id(1));
    altered(&mut packages);
    state.receive(packages).err()
}

/// The same, with the bytes of member 2's package changed.
fn receive_bytes(scheme: Scheme, altered: impl FnOnce(&mut Vec<u8>)) -> Option<DkgError> {
    receive(scheme, |packages| {
        let mut bytes = packages[&id(2)].to_vec();
        altered(&mut bytes);
        packages.insert(id(2), bytes.into());
    })
}

/// What member 1 of a 3-of-5 makes of these private packages.
fn finish(
    scheme: Scheme,
    altered: impl FnOnce(&mut BTreeMap<Identifier, Vec<u8>>),
) -> Result<RootShare, DkgError> {
    let Dealt { mut states, mut private } = start(scheme, 3, 5, 1).deal();
    let dealt = private.remove(&id(1)).expect("dealt to");
    let mut packages = dealt.into_iter().map(|(id, package)| (id, package.as_bytes().to_vec())).collect();
    altered(&mut packages);
    states.remove(&id(1)).expect("dealt").finish(packages)
}

fn an_honest_run_succeeds(scheme: Scheme) {
    assert_eq!(receive(scheme, |_| ()), None);
    assert!(finish(scheme, |_| ()).is_ok());
}

fn the_broadcast_has_the_length_that_is_announced(scheme: Scheme) {
    for (threshold, size) in [(2, 3), (3, 5), (13, 24)] {
        let (_, package) = dkg::start(scheme, id(1), size, threshold, &mut rng(1)).expect("legal");
        assert_eq!(package.len(), dkg::broadcast_package_len(scheme, threshold));
    }
}

fn illegal_parameters_are_refused(scheme: Scheme) {
    let begin = |me, size, threshold| dkg::start(scheme, id(me), size, threshold, &mut rng(1)).err();
    for (size, threshold) in [(5, 2), (5, 6), (1, 1), (25, 13), (0, 0)] {
        let refused = DkgError::Quorum(QuorumError { threshold, size });
        assert_eq!(begin(1, size, threshold), Some(refused));
    }
    assert_eq!(begin(6, 5, 3), Some(DkgError::Identifier { me: id(6), size: 5 }));
}

fn a_raised_or_lowered_threshold_is_named(scheme: Scheme) {
    for (threshold, size) in [(4, 5), (5, 5), (2, 3)] {
        let (_, package) = dkg::start(scheme, id(2), size, threshold, &mut rng(9)).expect("legal");
        let error = receive(scheme, |packages| drop(packages.insert(id(2), package)));
        let expected = DkgError::CommitmentLength { culprit: id(2), expected: 3, got: threshold.into() };
        assert_eq!(error.as_ref().and_then(DkgError::culprit), Some(id(2)));
        assert_eq!(error, Some(expected));
    }
    let none = receive_bytes(scheme, |bytes| drop(bytes.drain(..3 * scheme.root_key_len())));
    assert_eq!(none, Some(DkgError::CommitmentLength { culprit: id(2), expected: 3, got: 0 }));
}

fn malformed_and_identity_points_are_named(scheme: Scheme) {
    let malformed = Some(DkgError::Malformed { culprit: id(2) });
    assert_eq!(receive_bytes(scheme, Vec::clear), malformed);
    let (element, proof) = (scheme.root_key_len(), 3 * scheme.root_key_len());
    let length = proof + scheme.signature_len();
    assert_eq!(receive_bytes(scheme, |bytes| bytes.truncate(length - 1)), malformed);
    assert_eq!(receive_bytes(scheme, |bytes| bytes.push(0)), malformed);
    for (what, other) in no_elements(scheme, &generator(scheme)) {
        if other.len() != element {
            continue;
        }
        for start in [0, element, 2 * element] {
            let altered =
                receive_bytes(scheme, |bytes| bytes[start..start + element].copy_from_slice(&other));
            assert_eq!(altered, malformed, "{what}");
        }
        if scheme != Scheme::Bip340 {
            let altered =
                receive_bytes(scheme, |bytes| bytes[proof..proof + element].copy_from_slice(&other));
            assert_eq!(altered, malformed, "{what} in the proof");
        }
    }
    let nonce = proof..length - 32;
    assert_eq!(receive_bytes(scheme, |bytes| bytes[nonce].fill(0xff)), malformed, "nonce in the proof");
    assert_eq!(
        receive_bytes(scheme, |bytes| bytes[length - 32..].fill(0xff)),
        malformed,
        "scalar in the proof"
    );
}

fn a_bad_proof_of_possession_is_named(scheme: Scheme) {
    let bad = Some(DkgError::Proof { culprit: id(2) });
    assert_eq!(
        receive_bytes(scheme, |bytes| {
            // the scalar's middle, so that it stays one
            let middle = bytes.len() - 16;
            bytes[middle] ^= 1;
        }),
        bad
    );
    let generator = generator(scheme);
    assert_eq!(receive_bytes(scheme, |bytes| bytes[..generator.len()].copy_from_slice(&generator)), bad);
}

fn the_commitments_of_another_member_are_no_own_ones(scheme: Scheme) {
    let error = receive(scheme, |packages| {
        let other = packages[&id(3)].clone();
        packages.insert(id(2), other);
    });
    assert_eq!(error, Some(DkgError::Proof { culprit: id(2) }));
}

fn exactly_the_other_members_take_part(scheme: Scheme) {
    let missing = receive(scheme, |packages| drop(packages.remove(&id(4))));
    assert_eq!(missing, Some(DkgError::Senders { missing: vec![id(4)], unexpected: vec![] }));
    assert_eq!(missing.and_then(|error| error.culprit()), None);
    for stranger in [1, 6] {
        let extra = receive(scheme, |packages| {
            let package = packages[&id(2)].clone();
            packages.insert(id(stranger), package);
        });
        assert_eq!(extra, Some(DkgError::Senders { missing: vec![], unexpected: vec![id(stranger)] }));
    }
    let missing = finish(scheme, |packages| drop(packages.remove(&id(4)))).err();
    assert_eq!(missing, Some(DkgError::Senders { missing: vec![id(4)], unexpected: vec![] }));
    let extra = finish(scheme, |packages| drop(packages.insert(id(1), vec![1; 32]))).err();
    assert_eq!(extra, Some(DkgError::Senders { missing: vec![], unexpected: vec![id(1)] }));
}

fn a_share_that_does_not_match_its_commitments_is_named(scheme: Scheme) {
    for culprit in 2..=5 {
        let error = finish(scheme, |packages| packages.get_mut(&id(culprit)).expect("dealt")[15] ^= 1).err();
        assert_eq!(error, Some(DkgError::Share { culprit: id(culprit) }));
    }
    let exchanged = finish(scheme, |packages| {
        let other = packages[&id(3)].clone();
        packages.insert(id(2), other);
    });
    assert_eq!(exchanged.err(), Some(DkgError::Share { culprit: id(2) }));
    for malformed in [vec![], vec![1; 31], vec![1; 33], vec![0xff; 32]] {
        let error = finish(scheme, |packages| drop(packages.insert(id(3), malformed))).err();
        assert_eq!(error, Some(DkgError::Malformed { culprit: id(3) }));
    }
}

fn anybody_can_judge_a_complaint(scheme: Scheme) {
    let started = start(scheme, 3, 5, 1);
    let broadcast = started.broadcasts[&id(2)].clone();
    let other = started.broadcasts[&id(3)].clone();
    let dealt = started.deal().private[&id(1)][&id(2)].clone();
    let judge = |broadcast: &[u8], recipient, package: &[u8]| {
        dkg::check_private(scheme, 3, id(2), broadcast, id(recipient), package)
    };
    assert_eq!(judge(&broadcast, 1, dealt.as_bytes()), Ok(()));
    let mut wrong = dealt.as_bytes().to_vec();
    wrong[0] ^= 1;
    let guilty = Err(DkgError::Share { culprit: id(2) });
    assert_eq!(judge(&broadcast, 1, &wrong), guilty);
    assert_eq!(judge(&broadcast, 4, dealt.as_bytes()), guilty);
    assert_eq!(judge(&other, 1, dealt.as_bytes()), guilty);
    assert_eq!(judge(&broadcast, 1, &[1]), Err(DkgError::Malformed { culprit: id(2) }));
    assert_eq!(judge(&broadcast[1..], 1, dealt.as_bytes()), Err(DkgError::Malformed { culprit: id(2) }));
}

fn members_that_saw_different_broadcasts_end_with_different_roots(scheme: Scheme) {
    // What the echo of round 1 is for: every package of the equivocating member 3 is right in itself.
    let (mut one, other) = (start(scheme, 2, 3, 1), start(scheme, 2, 3, 2));
    let misled = one.states.remove(&id(1)).expect("started");
    let mut broadcasts = one.others(id(1));
    broadcasts.insert(id(3), other.broadcasts[&id(3)].clone());
    let (misled, _) = misled.receive(broadcasts).expect("right in themselves");

    let mut dealt = start(scheme, 2, 3, 1).deal().private.remove(&id(1)).expect("dealt to");
    dealt.insert(id(3), other.deal().private[&id(1)][&id(3)].clone());
    let share = misled.finish(dealt).expect("right in themselves");
    assert_ne!(share.root_key(), generate(scheme, 2, 3, 1)[&id(1)].root_key());
}

fn private_packages_are_redacted_and_bounded(scheme: Scheme) {
    let mut private = start(scheme, 2, 3, 1).deal().private;
    let package = private.remove(&id(1)).and_then(|mut dealt| dealt.remove(&id(2))).expect("dealt");
    let printed = format!("{package:?}");
    assert!(!printed.contains(&hex::encode(package.as_bytes())), "{printed}");
    assert_eq!(printed, "PrivatePackage(redacted)");

    let frame = postcard::to_stdvec(&package).expect("bytes");
    assert_eq!(frame.len(), 33);
    assert_eq!(postcard::from_bytes::<PrivatePackage>(&frame).expect("a package"), package);
    let long = postcard::to_stdvec(&vec![0u8; 33]).expect("bytes");
    assert!(postcard::from_bytes::<PrivatePackage>(&long).is_err());
}
