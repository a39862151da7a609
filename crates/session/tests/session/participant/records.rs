//! Whose records a participant signs over: within every member's tolerance, and signed by the member that read it.

use countersign_session::message::{Decline, Package};
use countersign_types::{FailureKind, SessionId};

use super::{abstains, agreed, declined, opened, opened_over, package_over, sign_records};
use crate::{
    committee::{NETWORK, NOW, id, identity},
    table::number_record,
};

#[test]
fn a_record_is_signed_exactly_if_its_values_may_differ() {
    assert_eq!(opened(NOW).observation.signature, None);
    let opened = opened_over(100);
    let signature = opened.observation.signature.expect("its values may differ");
    let (record, session) = (&opened.observation.record, opened.run.session);
    let key = identity(id(1)).public_key();
    assert_eq!(record.verify(NETWORK, session, &key, &signature), Ok(()));
    assert!(opened.observation.is_signed(NETWORK, &key));
    assert!(!opened.observation.is_signed(NETWORK, &identity(id(2)).public_key()));
}

#[test]
fn a_replay_is_over_the_agreed_number() {
    let mut opened = opened_over(100);
    let package = package_over(&opened, [102, 101]);
    assert_eq!(agreed(&opened.sign(&package)), Some(101));
}

#[test]
fn an_agreed_number_must_be_within_every_signers_tolerance() {
    // 101 is agreed: too far from 98, whoever read that
    for (own, others) in [(98, [101, 102]), (101, [98, 102]), (103, [98, 101])] {
        let mut opened = opened_over(own);
        let package = package_over(&opened, others);
        assert!(declined(opened.sign(&package)).is_some(), "{own} {others:?}");
    }
}

#[test]
fn an_agreed_number_must_be_within_the_tolerance_of_the_base_too() {
    let mut opened = opened_over(100);
    let mut package = package_over(&opened, [100, 100]);
    // 2 and 5 do not sign; with their records 102 would be agreed, which all signers accept and 5 does not
    package.base = [id(2), id(3), id(5)].into();
    package.records.insert(id(2), number_record(102));
    package.records.insert(id(5), number_record(500));
    sign_records(&mut package);
    assert_eq!(abstains(opened.sign(&package)), Some(FailureKind::Disagreement));
    package.records.insert(id(5), number_record(104));
    sign_records(&mut package);
    assert_eq!(agreed(&opened.sign(&package)), Some(102));
}

#[test]
fn every_record_must_be_signed_by_its_member_in_this_session() {
    let swapped: fn(&mut Package) = |p| {
        let (three, four) = (p.signatures[&id(3)], p.signatures[&id(4)]);
        p.signatures.extend([(id(3), four), (id(4), three)]);
    };
    type Change = fn(&mut Package);
    let changes: [(&str, Change); 7] = [
        ("the own record with another's signature", |p| {
            p.signatures.insert(id(1), p.signatures[&id(3)]);
        }),
        ("a number within the tolerance", |p| drop(p.records.insert(id(3), number_record(101)))),
        ("swapped signatures", swapped),
        ("no signature", |p| {
            p.signatures.remove(&id(4));
        }),
        ("a signature of nobody's record", |p| {
            p.signatures.insert(id(5), p.signatures[&id(4)]);
        }),
        ("another signer", |p| {
            let signature = p.records[&id(3)].sign(NETWORK, p.session, &identity(id(4)));
            p.signatures.insert(id(3), signature);
        }),
        ("another session", |p| {
            let session = SessionId::from([9; 32]);
            p.signatures.insert(id(3), p.records[&id(3)].sign(NETWORK, session, &identity(id(3))));
        }),
    ];
    for (name, change) in changes {
        let mut opened = opened_over(100);
        let right = package_over(&opened, [100, 101]);
        let mut package = right.clone();
        change(&mut package);
        let decline = declined(opened.sign(&package));
        assert!(matches!(decline, Some(Decline::Abstain { .. })), "{name}: {decline:?}");
        // the commitments are not used up by it
        assert_eq!(agreed(&opened.sign(&right)), Some(100), "{name}");
    }
}
