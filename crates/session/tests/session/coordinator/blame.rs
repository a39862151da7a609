//! Whom a coordinator believes: whoever provably lies is named, and nobody else.

use countersign_session::message::{Decline, Provisional, ToCoordinator, ToParticipant};
use countersign_types::{Decision, FailureKind, Identifier, outcome::MAX_REASON_BYTES};

use super::{failure, said, signers};
use crate::{
    committee::{NETWORK, id, identity},
    table::{Says, Table},
    twist::{garbage, observes, signs, spoilt, votes_otherwise},
};

#[test]
fn a_bad_share_names_its_sender_and_the_session_goes_on() {
    let twist = signs(2, |signed| spoilt(signed, 2));
    let signed = Table::twisted(&[], &[], twist).result().expect("four are honest");
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Misbehaved));
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 3, 4], 2));
    let blamed = signed.nodes.iter().filter(|node| node.decision == Decision::Misbehaved).count();
    assert_eq!(blamed, 1, "{:?}", signed.nodes);
}

#[test]
fn a_vote_that_is_not_the_senders_own_names_it() {
    let twist = signs(2, |mut signed| {
        signed.vote = signed.vote.vote.sign(NETWORK, &identity(id(3)));
        ToCoordinator::Signed(Box::new(signed))
    });
    let signed = Table::twisted(&[], &[], twist).result().expect("four are honest");
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Misbehaved));
    assert_eq!(said(&signed.nodes, 3), Some(Decision::Allow));
}

#[test]
fn malformed_commitments_name_their_sender_and_not_those_who_cannot_sign() {
    let twist = observes(2, |observation| observation.commitments = garbage());
    let signed = Table::twisted(&[], &[], twist).result().expect("four are honest");
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Misbehaved));
    assert_eq!(signers(&signed), [1, 3, 4]);
}

#[test]
fn whoever_declines_a_good_package_stands_back_and_is_not_out() {
    let twist = signs(2, |signed| ToCoordinator::Declined {
        session: signed.vote.vote.session,
        attempt: Some(signed.attempt),
        decline: Decline::Abstain { kind: FailureKind::Internal, reason: "I do not like it".into() },
    });
    let signed = Table::twisted(&[], &[], twist).result().expect("four sign");
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
        ToCoordinator::Signed(signed) if from == id(3) => spoilt(*signed, 3),
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
    let twist = signs(3, |signed| votes_otherwise(signed, 3));
    let signed = Table::twisted(&[(1, Says::CannotRun)], &[], twist).result().expect("three sign");
    assert_eq!((signers(&signed), signed.attempts), (vec![2, 4, 5], 2));
    assert_eq!(said(&signed.nodes, 3), Some(Decision::Allow), "nobody knows");
}

#[test]
fn who_votes_for_two_outcomes_is_named() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Signed(signed) if from == id(2) => spoilt(*signed, 2),
        ToCoordinator::Signed(signed) if from == id(3) && signed.attempt > 1 => votes_otherwise(*signed, 3),
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

#[test]
fn a_reason_beyond_its_bound_is_misbehaviour() {
    let reason = |length: usize| {
        let twist = observes(2, move |observation| {
            if let Provisional::Refuse { reason } = &mut observation.decision {
                *reason = "x".repeat(length);
            }
        });
        let signed = Table::twisted(&[(2, Says::Refuses)], &[], twist).result();
        said(&signed.expect("four sign").nodes, 2)
    };
    assert_eq!(reason(MAX_REASON_BYTES), Some(Decision::Refuse));
    assert_eq!(reason(MAX_REASON_BYTES + 1), Some(Decision::Misbehaved));
}
