//! What a coordinator tells the caller and the signers: signatures and what makes a receipt of them, or why there are none.

use std::collections::BTreeSet;

use countersign_session::{
    coordinator::{GRACE_MS, HEDGE_MS, SIGN_MS},
    message::ToParticipant,
};
use countersign_types::{Decision, Failure, FailureKind};

use super::{failure, said, signers};
use crate::{
    committee::{NETWORK, id, peer_id},
    table::{DEADLINE_MS, Says, Table},
};

/// No signature can be because these members are missing, and the failure names them.
fn lacks(failure: &Failure, members: [u16; 3], how: Decision) {
    assert_eq!(failure.kind, FailureKind::Unavailable);
    for number in members {
        assert_eq!(said(&failure.nodes, number), Some(how));
        assert!(failure.detail.contains(&peer_id(id(number))), "{failure}");
    }
}

#[test]
fn each_signer_can_make_a_receipt_of_what_it_kept() {
    // in one attempt, and where a member gave shares for one that failed
    for says in [&[][..], &[(2, Says::SilentLate)]] {
        let mut table = Table::new(says, &[]);
        if !says.is_empty() {
            table.pass(HEDGE_MS);
            table.pass(SIGN_MS);
        }
        let (kept, closed) = (std::mem::take(&mut table.kept), std::mem::take(&mut table.closed));
        let signed = table.result().expect("enough allow");
        for (member, part) in &signed.signers {
            let (given, completion) = (&kept[member], closed[member].as_ref().expect("it signed"));
            assert_eq!(given.part, *part);
            assert_eq!((given.package.attempt, completion.attempt), (signed.attempts, signed.attempts));
            assert_eq!(given.package.hash(NETWORK), part.vote.vote.package);
            assert_eq!((&completion.signers, &completion.signatures), (&signed.signers, &signed.signatures));
            assert_eq!(given.outcome, signed.outcome);
        }
        let others = closed.iter().filter(|(member, _)| !signed.signers.contains_key(member));
        assert!(others.clone().all(|(_, completion)| completion.is_none()), "it did not sign the last");
    }
}

#[test]
fn one_refusal_is_not_an_answer() {
    for late in [Says::Refuses, Says::RefusesLate] {
        let signed = Table::new(&[(1, late), (2, late)], &[]).result().expect("three still allow");
        assert_eq!(signers(&signed), [3, 4, 5]);
        assert_eq!(said(&signed.nodes, 1), Some(Decision::Refuse));
    }
}

#[test]
fn refused_is_final_once_fewer_than_a_threshold_can_allow() {
    let table = Table::new(&[(1, Says::Refuses), (3, Says::Refuses), (5, Says::Refuses)], &[]);
    assert_eq!(table.shares_made(), 0);
    let failure = failure(table);
    assert_eq!(failure.kind, FailureKind::Refused);
    for number in [1, 3, 5] {
        let node = failure.nodes.iter().find(|node| node.peer_id == peer_id(id(number)));
        let reason = node.and_then(|node| node.reason.as_deref());
        assert_eq!(reason, Some(format!("member {number} reads too little").as_str()));
    }
}

#[test]
fn two_refusals_and_a_silent_member_are_unavailable_and_not_refused() {
    let table = Table::new(&[(1, Says::Refuses), (2, Says::Refuses), (3, Says::Silent)], &[]);
    let failure = failure(table);
    assert_eq!(said(&failure.nodes, 3), Some(Decision::NoAnswer));
    assert!(matches!(failure.kind, FailureKind::Deadline | FailureKind::Unavailable), "{failure}");
}

#[test]
fn too_few_connected_members_are_named_at_once() {
    let mut table = Table::new(&[], &[2, 3, 4]);
    table.pass(GRACE_MS);
    assert!(table.is_done(), "nobody waits for the deadline");
    lacks(&failure(table), [2, 3, 4], Decision::NotConnected);
}

#[test]
fn the_deadline_names_who_did_not_answer() {
    let silent = [(2, Says::Silent), (3, Says::Silent), (4, Says::Silent)];
    let mut table = Table::new(&silent, &[]);
    table.pass(DEADLINE_MS - 1);
    assert!(!table.is_done());
    let failure = failure(table);
    lacks(&failure, [2, 3, 4], Decision::NoAnswer);
    assert_eq!(said(&failure.nodes, 5), Some(Decision::Allow));
}

/// All have run the action, and the time is up before they have signed: nobody is to blame, and asking again may help.
#[test]
fn a_deadline_that_passes_while_enough_sign_is_that_and_nothing_else() {
    let late = [1, 2, 3, 4, 5].map(|number| (number, Says::Slow(DEADLINE_MS - SIGN_MS / 2)));
    let mut table = Table::new(&late, &[]);
    table.pass(DEADLINE_MS - 1);
    assert!(!table.is_done());
    assert!(
        table.sent.iter().any(|(_, message)| matches!(message, ToParticipant::Sign { .. })),
        "none signs"
    );
    let failure = failure(table);
    assert_eq!(failure.kind, FailureKind::Deadline);
    assert!(failure.detail.starts_with("the deadline passed"), "{failure}");
    assert_eq!(failure.disagreement, None);
    for number in 1..=3 {
        assert_eq!(said(&failure.nodes, number), Some(Decision::Allow), "{number}");
    }
}

/// As many may stay silent as are not needed; one more, and it is those that are missing.
#[test]
fn a_deadline_with_too_few_that_answer_names_those_that_do_not() {
    for (silent, kind) in [(2, FailureKind::Deadline), (3, FailureKind::Unavailable)] {
        let says = [1, 2, 3, 4, 5].map(|number| {
            (number, if number > 5 - silent { Says::Silent } else { Says::Slow(DEADLINE_MS - SIGN_MS / 2) })
        });
        let failure = failure(Table::new(&says, &[]));
        assert_eq!(failure.kind, kind, "{silent}");
        for number in 5 - silent + 1..=5 {
            assert_eq!(said(&failure.nodes, number), Some(Decision::NoAnswer), "{silent}: {number}");
        }
    }
}

#[test]
fn nodes_that_read_different_values_are_shown_what_each_saw() {
    let reads = [(1, Says::Reads(1)), (2, Says::Reads(1)), (3, Says::Reads(3)), (4, Says::Reads(3))];
    let table = Table::new(&reads, &[]);
    assert_eq!(table.shares_made(), 0);
    let failure = failure(table);
    assert_eq!(failure.kind, FailureKind::Disagreement);
    let disagreement = failure.disagreement.expect("says where");
    assert_eq!((disagreement.position, disagreement.rule.as_str()), (0, "identical"));
    let values: BTreeSet<_> = disagreement.saw.iter().filter_map(|saw| saw.value.clone()).collect();
    assert_eq!((disagreement.saw.len(), values.len()), (5, 3), "{:?}", disagreement.saw);
}

#[test]
fn a_member_that_reads_something_else_does_not_stop_the_others() {
    let signed = Table::new(&[(2, Says::Reads(9))], &[]).result().expect("four agree");
    assert_eq!(signers(&signed), [1, 3, 4]);
}

#[test]
fn a_common_obstacle_is_the_answer() {
    let down: Vec<_> = (1..=3).map(|number| (number, Says::CannotRun)).collect();
    let failure = failure(Table::new(&down, &[]));
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(said(&failure.nodes, 2), Some(Decision::Abstain));
}
