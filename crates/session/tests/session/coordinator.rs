//! Whom a coordinator asks, whom it believes, and what it tells the caller.

use std::collections::BTreeSet;

use countersign_session::{
    coordinator::{GRACE_MS, HEDGE_MS, RESEND_MS, SIGN_MS, Signed},
    message::{self, Provisional, ToCoordinator, ToParticipant, shares_hash},
};
use countersign_types::{
    Bytes, Decision, Failure, FailureKind, Identifier, NodeDecision, outcome::MAX_REASON_BYTES,
};

use crate::{
    committee::{NETWORK, id, identity, peer_id, public},
    table::{DEADLINE_MS, Says, Table},
};

fn said(nodes: &[NodeDecision], number: u16) -> Option<Decision> {
    nodes.iter().find(|said| said.peer_id == peer_id(id(number))).map(|said| said.decision)
}

fn signers(signed: &Signed) -> Vec<u16> {
    signed.signers.keys().map(|id| id.get()).collect()
}

fn failure(table: Table) -> Failure {
    table.result().expect_err("no signature can be")
}

fn asked(table: &Table) -> Vec<u16> {
    table.asked.iter().map(|id: &Identifier| id.get()).collect()
}

#[test]
fn a_threshold_is_asked_and_signs() {
    let table = Table::new(&[], &[]);
    assert_eq!(asked(&table), [1, 2, 3]);
    let signed = table.result().expect("all allow");
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 2, 3], 1));
    let message = &signed.outcome.messages()[0];
    assert_eq!(public().verify(message, &signed.signatures[0]), Ok(()));
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
fn a_bad_share_names_its_sender_and_the_session_goes_on() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Signed(signed) if from == id(2) => spoilt(*signed, id(2)),
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let signed = Table::twisted(&[], &[], Box::new(twist)).result().expect("four are honest");
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Misbehaved));
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 3, 4], 2));
    let blamed = signed.nodes.iter().filter(|node| node.decision == Decision::Misbehaved).count();
    assert_eq!(blamed, 1, "{:?}", signed.nodes);
}

#[test]
fn a_vote_that_is_not_the_senders_own_names_it() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Signed(mut signed) if from == id(2) => {
            signed.vote = signed.vote.vote.sign(NETWORK, &identity(id(3)));
            ToCoordinator::Signed(signed)
        }
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let signed = Table::twisted(&[], &[], Box::new(twist)).result().expect("four are honest");
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Misbehaved));
    assert_eq!(said(&signed.nodes, 3), Some(Decision::Allow));
}

#[test]
fn malformed_commitments_name_their_sender_and_not_those_who_cannot_sign() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Observed(mut observation) if from == id(2) => {
            let garbage = Bytes::from(vec![5; 66]).try_into().expect("short enough");
            observation.commitments = vec![garbage];
            ToCoordinator::Observed(observation)
        }
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let signed = Table::twisted(&[], &[], Box::new(twist)).result().expect("four are honest");
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Misbehaved));
    assert_eq!(signers(&signed), [1, 3, 4]);
}

#[test]
fn whoever_declines_a_good_package_stands_back_and_is_not_out() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Signed(signed) if from == id(2) => {
            let reason = "I do not like it".into();
            ToCoordinator::Declined {
                session: signed.vote.vote.session,
                attempt: Some(signed.attempt),
                decline: countersign_session::message::Decline::Abstain {
                    kind: FailureKind::Internal,
                    reason,
                },
            }
        }
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let signed = Table::twisted(&[], &[], Box::new(twist)).result().expect("four sign");
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 3, 4], 2));
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Abstain));
}

/// Nobody is asked to sign with them, so that nobody who is right declines.
#[test]
fn whoever_commits_twice_to_the_same_is_named() {
    let mut first = None;
    let twist = move |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Observed(observation) if from == id(2) => {
            first = Some(observation.commitments.clone());
            ToCoordinator::Observed(observation)
        }
        ToCoordinator::Committed { session, attempt, .. } if from == id(2) => {
            let commitments = first.clone().expect("it has observed");
            ToCoordinator::Committed { session, attempt, commitments }
        }
        // so that there is a further attempt
        ToCoordinator::Signed(signed) if from == id(3) => spoilt(*signed, id(3)),
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let table = Table::twisted(&[], &[], Box::new(twist));
    let asked =
        table.sent.iter().filter(|(_, message)| matches!(message, ToParticipant::Sign { .. })).count();
    assert_eq!(asked, 6, "the second attempt was never a package");
    let signed = table.result().expect("three are honest");
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 4, 5], 3));
    for liar in [2, 3] {
        assert_eq!(said(&signed.nodes, liar), Some(Decision::Misbehaved), "{liar}");
    }
}

/// The coordinator runs nothing itself, so it cannot say who is right.
#[test]
fn who_votes_for_another_outcome_is_not_asked_with_the_others_again() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Signed(signed) if from == id(3) => votes_otherwise(*signed, id(3)),
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let signed = Table::twisted(&[(1, Says::CannotRun)], &[], Box::new(twist)).result().expect("three sign");
    assert_eq!((signers(&signed), signed.attempts), (vec![2, 4, 5], 2));
    assert_eq!(said(&signed.nodes, 3), Some(Decision::Allow), "nobody knows");
}

#[test]
fn who_votes_for_two_outcomes_is_named() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Signed(signed) if from == id(2) => spoilt(*signed, id(2)),
        ToCoordinator::Signed(signed) if from == id(3) && signed.attempt > 1 => {
            votes_otherwise(*signed, id(3))
        }
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let failure = failure(Table::twisted(&[(1, Says::CannotRun)], &[], Box::new(twist)));
    for liar in [2, 3] {
        assert_eq!(said(&failure.nodes, liar), Some(Decision::Misbehaved), "{liar}: {failure:?}");
    }
}

/// A share that is none, with a vote for it.
fn spoilt(mut signed: message::Signed, by: Identifier) -> ToCoordinator {
    signed.shares = vec![Bytes::from(vec![1; 32]).try_into().expect("32 bytes")];
    signed.vote.vote.shares = shares_hash(&signed.shares);
    signed.vote = signed.vote.vote.sign(NETWORK, &identity(by));
    ToCoordinator::Signed(Box::new(signed))
}

/// A vote for something else.
fn votes_otherwise(mut signed: message::Signed, by: Identifier) -> ToCoordinator {
    signed.vote.vote.outcome = [9; 32].into();
    signed.vote = signed.vote.vote.sign(NETWORK, &identity(by));
    ToCoordinator::Signed(Box::new(signed))
}

/// Whoever was asked first and not needed in the end did not keep anybody waiting.
#[test]
fn late_is_who_was_waited_for() {
    let mut table = Table::new(&[(2, Says::CannotRun), (4, Says::Silent)], &[]);
    assert!(table.is_done());
    assert_eq!(table.coordinator.late(), BTreeSet::new());
    table = Table::new(&[(2, Says::Silent), (4, Says::Silent)], &[]);
    table.pass(HEDGE_MS);
    assert!(table.is_done());
    assert_eq!(table.coordinator.late(), BTreeSet::from([id(2)]));
    table = Table::in_advance(&[(2, Says::SilentLate)], &[2, 3]);
    table.pass(2 * HEDGE_MS);
    assert!(table.is_done());
    assert_eq!(table.coordinator.late(), BTreeSet::from([id(2)]));
}

/// An action may take longer than members are given before others are asked too.
#[test]
fn nobody_is_late_where_the_action_takes_long_for_all() {
    let all = |ms| [1, 2, 3, 4, 5].map(|number| (number, Says::Slow(ms)));
    let late = |says: &[(u16, Says)], of: &[u16]| {
        let mut table = if of.is_empty() { Table::new(says, &[]) } else { Table::in_advance(says, of) };
        table.pass(DEADLINE_MS / 2);
        assert!(table.is_done());
        table.coordinator.late()
    };
    assert_eq!(late(&all(HEDGE_MS + 50), &[]), BTreeSet::new());
    // who is slower than those that were asked so much later is
    let mut says = all(HEDGE_MS + 50);
    says[1].1 = Says::Slow(3 * HEDGE_MS);
    assert_eq!(late(&says, &[]), BTreeSet::from([id(2)]));
    // the time of those that are asked after the own run counts from there
    assert_eq!(late(&all(HEDGE_MS - 50), &[2, 3]), BTreeSet::new());
    let mut says = all(HEDGE_MS - 50);
    says[1].1 = Says::Slow(3 * HEDGE_MS);
    assert_eq!(late(&says, &[2, 3]), BTreeSet::from([id(2)]));
    // nor does a member that cannot run the action at all show that others are slow
    let mut says = all(HEDGE_MS + 50);
    says[3].1 = Says::CannotRun;
    assert_eq!(late(&says, &[]), BTreeSet::new());
}

/// Three sign; 3 comes and goes while 4 and 5 are at work, and must not use all attempts up.
#[test]
fn a_member_that_comes_and_goes_does_not_use_the_attempts_up() {
    let slow = Says::Slow(1_000);
    let mut table = Table::new(&[(3, Says::SilentLate), (4, slow), (5, slow)], &[]);
    for _ in 0..16 {
        table.disconnect(3);
        table.connect(3);
    }
    let signed = table.result().expect("1, 2 and one of the slow ones sign");
    assert!(!signers(&signed).contains(&3));
    assert!(signed.attempts <= 3, "{} attempts", signed.attempts);
}

#[test]
fn a_reason_beyond_its_bound_is_misbehaviour() {
    let reason = |length: usize| {
        let twist = move |_, message| match message {
            ToCoordinator::Observed(mut observation) => {
                if let Provisional::Refuse { reason } = &mut observation.decision {
                    *reason = "x".repeat(length);
                }
                ToCoordinator::Observed(observation)
            }
            other @ (ToCoordinator::Declined { .. }
            | ToCoordinator::Committed { .. }
            | ToCoordinator::Signed(_)) => other,
        };
        let signed = Table::twisted(&[(2, Says::Refuses)], &[], Box::new(twist)).result();
        said(&signed.expect("four sign").nodes, 2)
    };
    assert_eq!(reason(MAX_REASON_BYTES), Some(Decision::Refuse));
    assert_eq!(reason(MAX_REASON_BYTES + 1), Some(Decision::Misbehaved));
}

#[test]
fn absent_members_are_not_asked_and_others_take_their_place() {
    let table = Table::new(&[], &[2, 4]);
    assert_eq!(asked(&table), [1, 3, 5]);
    assert_eq!(signers(&table.result().expect("three are there")), [1, 3, 5]);
}

#[test]
fn too_few_connected_members_are_named_at_once() {
    let mut table = Table::new(&[], &[2, 3, 4]);
    table.pass(GRACE_MS);
    assert!(table.is_done(), "nobody waits for the deadline");
    let failure = failure(table);
    assert_eq!(failure.kind, FailureKind::Unavailable);
    for number in [2, 3, 4] {
        assert_eq!(said(&failure.nodes, number), Some(Decision::NotConnected));
        assert!(failure.detail.contains(&peer_id(id(number))), "{failure}");
    }
}

#[test]
fn a_member_that_goes_away_is_replaced_at_once() {
    let mut table = Table::new(&[(3, Says::SilentLate)], &[]);
    assert!(!table.is_done());
    table.disconnect(3);
    assert!(table.is_done(), "without waiting for any timer");
    let signed = table.result().expect("four are there");
    assert_eq!(said(&signed.nodes, 3), Some(Decision::NotConnected));
}

#[test]
fn a_member_that_comes_is_asked() {
    let mut table = Table::new(&[(5, Says::Silent)], &[2, 3]);
    assert!(!table.is_done());
    table.connect(2);
    assert_eq!(signers(&table.result().expect("three are there")), [1, 2, 4]);
}

#[test]
fn timeouts_move_on_when_members_come_back_during_the_grace() {
    let mut table = Table::new(&[(5, Says::Silent), (4, Says::Silent)], &[2, 3]);
    table.disconnect(4);
    table.connect(4);
    // `pass` checks every timer
    table.pass(2 * GRACE_MS);
    table.connect(2);
    table.connect(3);
    assert!(table.is_done());
}

#[test]
fn silence_brings_in_those_held_back_after_a_while() {
    let mut table = Table::new(&[(2, Says::Silent)], &[]);
    assert_eq!(asked(&table), [1, 2, 3]);
    table.pass(HEDGE_MS - 1);
    assert!(!table.is_done() && asked(&table) == [1, 2, 3]);
    table.pass(1);
    assert!(table.is_done());
    assert_eq!(signers(&table.result().expect("four answer")), [1, 3, 4]);
}

#[test]
fn a_signer_that_lets_the_others_wait_is_replaced() {
    let mut table = Table::new(&[(2, Says::SilentLate)], &[]);
    table.pass(SIGN_MS - 1);
    assert!(!table.is_done());
    table.pass(1);
    let signed = table.result().expect("four sign");
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 3, 4], 2));
    assert_eq!(said(&signed.nodes, 2), Some(Decision::NoAnswer));
}

#[test]
fn the_deadline_names_who_did_not_answer() {
    let silent = [(2, Says::Silent), (3, Says::Silent), (4, Says::Silent)];
    let mut table = Table::new(&silent, &[]);
    table.pass(DEADLINE_MS - 1);
    assert!(!table.is_done());
    let failure = failure(table);
    assert_eq!(failure.kind, FailureKind::Unavailable);
    for number in [2, 3, 4] {
        assert_eq!(said(&failure.nodes, number), Some(Decision::NoAnswer));
        assert!(failure.detail.contains(&peer_id(id(number))), "{failure}");
    }
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

#[test]
fn a_proposal_that_was_lost_is_sent_again() {
    let mut table = Table::new(&[(2, Says::Silent), (3, Says::Silent), (4, Says::Silent)], &[5]);
    table.asked.clear();
    table.pass(RESEND_MS);
    assert_eq!(asked(&table), [2, 3, 4]);
}

#[test]
fn a_signer_that_left_after_it_signed_is_said_to_have_allowed() {
    let mut lost = false;
    let twist = move |from: Identifier, message: ToCoordinator| match message {
        // as good as lost: nobody waits for such commitments
        ToCoordinator::Signed(signed) if from == id(3) && !lost => {
            lost = true;
            let session = signed.vote.vote.session;
            ToCoordinator::Committed { session, attempt: 9, commitments: Vec::new() }
        }
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let mut table = Table::twisted(&[], &[], Box::new(twist));
    table.disconnect(2);
    assert!(!table.is_done());
    table.pass(RESEND_MS);
    let signed = table.result().expect("the package is sent again");
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 2, 3], 1));
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Allow));
}
