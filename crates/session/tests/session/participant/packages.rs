//! Which packages are signed: once each, for what the own replay gave, and never for another outcome of the same request.

use countersign_session::{
    message::{Decline, Package, ToCoordinator, ToParticipant},
    participant::Effect,
};
use countersign_types::{FailureKind, Outcome, Record};

use super::{COORDINATOR, abstains, answers, declined, open, opened, record};
use crate::{
    committee::{NETWORK, NOW, allow, id, rng},
    twist::garbage,
};

#[test]
fn a_share_comes_for_the_own_replays_messages_and_once() {
    let mut opened = opened(NOW);
    let package = opened.replaying();
    let first = answers(opened.replayed(Ok(allow(1))));
    let Some((_, ToCoordinator::Signed(signed))) = first.first() else { panic!("{first:?}") };
    assert_eq!(signed.vote.vote.outcome, allow(1).hash());
    assert_eq!(signed.vote.vote.package, package.hash(NETWORK));
    assert_eq!(opened.me.shares_made(), 1);
    // a driver that reports twice gets nothing more
    assert!(opened.replayed(Ok(allow(2))).is_empty());
    assert_eq!(opened.me.shares_made(), 1);
}

#[test]
fn a_package_that_comes_again_during_its_replay_is_not_declined() {
    let mut opened = opened(NOW);
    let package = opened.replaying();
    assert!(opened.sign(&package).is_empty());
    let first = answers(opened.replayed(Ok(allow(1))));
    assert_eq!(first.len(), 1);
    assert_eq!(answers(opened.sign(&package)), first, "and after it gets the same answer");
    assert_eq!(opened.me.shares_made(), 1);
}

#[test]
fn a_refusal_that_was_lost_comes_again_with_its_reason() {
    let mut opened = opened(NOW);
    let package = opened.replaying();
    let refusal = Decline::Refused { reason: "too little".into() };
    let refuses = Ok(Outcome::Refused { reason: "too little".into() });
    assert_eq!(declined(opened.replayed(refuses)), Some(refusal.clone()));
    assert_eq!(declined(opened.sign(&package)), Some(refusal));
    assert_eq!(opened.me.shares_made(), 0);
}

#[test]
fn commitments_are_good_for_one_package() {
    let mut opened = opened(NOW);
    let mut other = opened.replaying();
    other.records.insert(id(5), other.records[&id(1)].clone());
    other.base.insert(id(5));
    assert!(declined(opened.sign(&other)).is_some(), "while the first is replayed");
    opened.replayed(Ok(allow(1)));
    assert!(declined(opened.sign(&other)).is_some(), "and after");
    assert_eq!(opened.me.shares_made(), 1);
}

#[test]
fn a_package_must_hold_the_own_record_and_commitments_and_agree_with_all() {
    let changes: [fn(&mut Package); 5] = [
        |p| drop(p.records.insert(id(1), record(2))),
        |p| drop(p.records.insert(id(3), Record::default())),
        |p| drop(p.signers.insert(id(1), p.signers[&id(3)].clone())),
        |p| drop(p.signers.remove(&id(4))),
        |p| p.attempt = 2,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut opened = opened(NOW);
        let mut package = opened.package();
        change(&mut package);
        let effects = opened.sign(&package);
        // a record of another member that ends early leaves nothing agreed: the replay is told so
        let nothing = |effect: &Effect<()>| matches!(effect, Effect::Replay { agreed, .. } if agreed.entries.is_empty());
        let nothing_agreed = effects.iter().any(nothing);
        assert!(nothing_agreed || declined(effects).is_some(), "change {index}");
    }
}

#[test]
fn one_request_gets_shares_for_one_outcome() {
    let mut first = opened(NOW);
    first.replaying();
    first.replayed(Ok(allow(1)));
    let mut second = open(first.me, id(COORDINATOR), NOW + 1);
    second.replaying();
    assert_eq!(abstains(second.replayed(Ok(allow(2)))), Some(FailureKind::Disagreement));
    assert_eq!(second.me.shares_made(), 1);
    // the same outcome again is fine
    let mut third = open(second.me, id(COORDINATOR), NOW + 2);
    third.replaying();
    assert!(declined(third.replayed(Ok(allow(1)))).is_none());
    assert_eq!(third.me.shares_made(), 2);
}

#[test]
fn a_request_that_ends_during_the_replay_gets_no_share() {
    let mut opened = opened(NOW);
    opened.replaying();
    let run = opened.run.clone();
    let late = opened.me.replayed(&run, 1, Ok(allow(1)), NOW + 60_000);
    assert_eq!(abstains(late), Some(FailureKind::Expired));
    assert_eq!(opened.me.shares_made(), 0);
}

#[test]
fn malformed_commitments_of_another_are_that_packages_fault_only() {
    let mut opened = opened(NOW);
    let mut package = opened.package();
    package.signers.insert(id(3), garbage());
    opened.sign(&package);
    let answer = answers(opened.replayed(Ok(allow(1)))).pop();
    let Some((_, ToCoordinator::Declined { attempt: Some(1), .. })) = answer else { panic!("{answer:?}") };
    let commit = ToParticipant::Commit { session: opened.run.session, attempt: 2 };
    let further = answers(opened.me.receive(id(COORDINATOR), commit, NOW, &mut rng(4)));
    assert!(matches!(further[..], [(_, ToCoordinator::Committed { attempt: 2, .. })]), "{further:?}");
}
