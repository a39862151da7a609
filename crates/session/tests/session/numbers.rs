//! Members whose numbers differ: whom a coordinator chooses, and what it says where nobody can be chosen.

use countersign_session::message::Observation;
use countersign_types::{Decision, FailureKind};

use crate::{
    committee::{NETWORK, allow, id, identity, peer_id},
    coordinator::{said, signers},
    table::{Says, Table, number_record},
    twist::observes,
};

/// Who signed what number, in how many attempts.
fn signed(table: Table) -> (Vec<u16>, u8, u32) {
    let signed = table.result().expect("a set can sign");
    let content = (0..=u8::MAX).find(|content| signed.outcome == allow(*content)).expect("a small number");
    (signers(&signed), content, signed.attempts)
}

fn twisted(says: &[(u16, Says)], change: fn(&mut Observation)) -> Table {
    Table::twisted(says, &[], observes(2, change))
}

#[test]
fn a_threshold_signs_over_its_median() {
    let table = Table::new(&[(1, Says::Sees(101)), (2, Says::Sees(100)), (3, Says::Sees(102))], &[]);
    assert_eq!(table.asked.len(), 3, "nobody else is needed");
    assert_eq!(signed(table), (vec![1, 2, 3], 101, 1));
}

#[test]
fn one_absurd_number_costs_no_attempt() {
    for absurd in [0, 97, 103, u64::MAX] {
        for liar in 1..=3 {
            let table = Table::new(&[(liar, Says::Sees(absurd))], &[]);
            let (signers, number, attempts) = signed(table);
            assert_eq!((number, attempts), (100, 1), "{absurd} of {liar}");
            assert!(!signers.contains(&liar));
        }
    }
}

#[test]
fn members_that_are_far_apart_sign_with_one_between_them() {
    let says = [(1, Says::Sees(98)), (2, Says::Sees(200)), (3, Says::Sees(102)), (4, Says::Sees(300))];
    let (signers, number, attempts) = signed(Table::new(&says, &[]));
    assert_eq!((signers, number, attempts), (vec![1, 3, 5], 100, 1));
}

#[test]
fn a_further_attempt_keeps_the_agreed_number() {
    let says = [(1, Says::Sees(101)), (2, Says::SilentLate), (4, Says::Sees(102)), (5, Says::Sees(103))];
    let (signers, number, attempts) = signed(Table::new(&says, &[]));
    assert_eq!((signers, number, attempts), (vec![1, 3, 4], 100, 2), "and 5 does not accept it");
}

#[test]
fn numbers_beyond_the_tolerance_are_a_disagreement_that_says_who_saw_what() {
    let numbers = [(1, 100), (2, 110), (3, 120), (4, 130), (5, 140)];
    let says: Vec<(u16, Says)> = numbers.iter().map(|(node, number)| (*node, Says::Sees(*number))).collect();
    let table = Table::new(&says, &[]);
    assert!(table.is_done(), "nobody waits for a timer");
    assert_eq!(table.shares_made(), 0);
    let failure = table.result().expect_err("nobody accepts another's");
    assert_eq!(failure.kind, FailureKind::Disagreement);
    let disagreement = failure.disagreement.expect("says where");
    assert_eq!((disagreement.position, disagreement.pointer.as_deref()), (0, Some("/price")));
    assert_eq!(disagreement.rule, "median (bps 0, abs 2)");
    assert_eq!(
        disagreement.reason,
        "no agreement on read 0, field \"/price\": the agreed 120 is outside the tolerance of 4 of 5 nodes"
    );
    let saw = |node: u16| disagreement.saw.iter().find(|saw| saw.peer_id == peer_id(id(node)));
    for (node, number) in numbers {
        assert_eq!(saw(node).and_then(|saw| saw.value.clone()), Some(number.to_string()));
    }
    assert!(failure.detail.contains(&disagreement.reason), "{}", failure.detail);
}

#[test]
fn members_that_refuse_are_shown_too_and_not_asked_to_sign() {
    let says = [(1, Says::RefusesOver(120)), (2, Says::Sees(130)), (3, Says::Sees(140))];
    let failure = Table::new(&says, &[]).result().expect_err("two allow and agree");
    assert_eq!(failure.kind, FailureKind::Disagreement);
    assert_eq!(failure.disagreement.expect("says where").saw.len(), 5);
    let (signers, number, _) = signed(Table::new(&[(1, Says::RefusesOver(100))], &[]));
    assert_eq!((signers, number), (vec![2, 3, 4], 100));
}

#[test]
fn a_record_that_its_member_did_not_sign_names_it() {
    let lies: [fn(&mut Observation); 4] = [
        |o| o.signature = None,
        |o| o.signature = Some(o.record.sign(NETWORK, o.session, &identity(id(3)))),
        |o| o.record = number_record(101),
        |o| o.signature = Some(o.record.sign(NETWORK, o.session.0.0.map(|b| !b).into(), &identity(id(2)))),
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let result = twisted(&[(1, Says::Sees(100))], lie).result().expect("four are honest");
        assert_eq!(said(&result.nodes, 2), Some(Decision::Misbehaved), "lie {index}");
        assert_eq!(signers(&result), [1, 3, 4]);
        assert_eq!(result.attempts, 1);
    }
    // and one that needs no signature has none
    let sign: fn(&mut Observation) =
        |o| o.signature = Some(o.record.sign(NETWORK, o.session, &identity(id(2))));
    let result = twisted(&[], sign).result().expect("four are honest");
    assert_eq!(said(&result.nodes, 2), Some(Decision::Misbehaved));
}

#[test]
fn a_liars_rules_and_texts_cost_no_attempt() {
    use countersign_types::{RecordEntry, Rule, Tolerance, http::FieldValue};
    fn change(o: &mut Observation, change: fn(&mut countersign_types::FieldRead)) {
        if let Some(RecordEntry::Fields { fields, .. }) = o.record.entries.first_mut() {
            fields.iter_mut().for_each(change);
        }
        o.signature = Some(o.record.sign(NETWORK, o.session, &identity(id(2))));
    }
    let lies: [fn(&mut Observation); 3] = [
        |o| change(o, |field| field.rule = Rule::Min(Tolerance { bps: 10_000, abs: u64::MAX.into() })),
        |o| change(o, |field| field.value = FieldValue::Text("100".into())),
        |o| change(o, |field| field.pointer = "/other".into()),
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        let (signers, number, attempts) = signed(twisted(&[(1, Says::Sees(100))], lie));
        assert_eq!((signers, number, attempts), (vec![1, 3, 4], 100, 1), "lie {index}");
    }
}
