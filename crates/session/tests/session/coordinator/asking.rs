//! Whom a coordinator asks, and who takes the place of members that do not answer, go away or come.

use countersign_session::{
    coordinator::{GRACE_MS, HEDGE_MS, RESEND_MS, SIGN_MS},
    message::ToCoordinator,
};
use countersign_types::{Decision, Identifier};

use super::{said, signers};
use crate::{
    committee::public,
    table::{Says, Table},
    twist::signs,
};

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
fn absent_members_are_not_asked_and_others_take_their_place() {
    let table = Table::new(&[], &[2, 4]);
    assert_eq!(asked(&table), [1, 3, 5]);
    assert_eq!(signers(&table.result().expect("three are there")), [1, 3, 5]);
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
fn a_proposal_that_was_lost_is_sent_again() {
    let mut table = Table::new(&[(2, Says::Silent), (3, Says::Silent), (4, Says::Silent)], &[5]);
    table.asked.clear();
    table.pass(RESEND_MS);
    assert_eq!(asked(&table), [2, 3, 4]);
}

#[test]
fn a_signer_that_left_after_it_signed_is_said_to_have_allowed() {
    let mut lost = false;
    let twist = signs(3, move |signed| {
        if lost {
            return ToCoordinator::Signed(Box::new(signed));
        }
        // as good as lost: nobody waits for such commitments
        lost = true;
        let session = signed.vote.vote.session;
        ToCoordinator::Committed { session, attempt: 9, commitments: Vec::new() }
    });
    let mut table = Table::twisted(&[], &[], twist);
    table.disconnect(2);
    assert!(!table.is_done());
    table.pass(RESEND_MS);
    let signed = table.result().expect("the package is sent again");
    assert_eq!((signers(&signed), signed.attempts), (vec![1, 2, 3], 1));
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Allow));
}
