//! What a participant does with a session's further attempts, with a replay unlike the live run, and when the session is over.

use std::collections::BTreeMap;

use countersign_session::{
    message::{Completion, Decline, MAX_ATTEMPTS, Package, ToCoordinator, ToParticipant},
    participant::{Effect, SESSION_MS},
};
use countersign_threshold::Commitments;
use countersign_types::{Bytes, FailureKind, MAX_PAYLOADS, Outcome, Payload, Request, Signature, Verdict};

use crate::{
    committee::{NOW, SIZE, allow, id, key, participant, request, rng, signed},
    one_round::handed_out,
    participant::{
        COORDINATOR, Opened, abstains, agreed, answers, declined, opened, opened_over, package_over,
        proposal, run_of, sign_records,
    },
    table::number_record,
};

/// What this participant commits to for an attempt, if it does.
fn commitments(opened: &mut Opened, attempt: u32) -> Option<Vec<Commitments>> {
    let commit = ToParticipant::Commit { session: opened.run.session, attempt };
    match answers(opened.me.receive(id(COORDINATOR), commit, NOW, &mut rng(u64::from(attempt)))).pop()?.1 {
        ToCoordinator::Committed { commitments, .. } => Some(commitments),
        ToCoordinator::Observed(_) | ToCoordinator::Declined { .. } | ToCoordinator::Signed(_) => None,
    }
}

#[test]
fn only_further_attempts_up_to_the_last_are_committed_to() {
    let mut opened = opened(NOW);
    for (attempt, is_one) in
        [(0, false), (1, false), (2, true), (MAX_ATTEMPTS, true), (MAX_ATTEMPTS + 1, false)]
    {
        assert_eq!(commitments(&mut opened, attempt).is_some(), is_one, "{attempt}");
    }
    assert_eq!(opened.me.sizes().attempts, 3);
}

#[test]
fn a_record_that_changes_in_a_further_attempt_must_be_signed_again() {
    let mut opened = opened_over(100);
    let first = package_over(&opened, [100, 101]);
    assert_eq!(agreed(&opened.sign(&first)), Some(100));
    let own = commitments(&mut opened, 2).expect("a further attempt");
    let signers = BTreeMap::from([(id(1), own), (id(3), handed_out(3)), (id(4), handed_out(4))]);
    let mut second = Package { attempt: 2, signers, ..first };
    // the same number is agreed with it
    second.records.insert(id(3), number_record(99));
    let decline = declined(opened.sign(&second));
    let Some(Decline::Abstain { reason, .. }) = decline else { panic!("{decline:?}") };
    assert_eq!(reason, "the record of member 3 is not one that it signed in this session");
    sign_records(&mut second);
    assert_eq!(agreed(&opened.sign(&second)), Some(100));
}

#[test]
fn a_replay_with_another_number_of_payloads_than_the_live_run_gets_no_share() {
    let mut opened = opened(NOW);
    opened.replaying();
    let payloads = [1_u8, 2].map(|content| Payload::Bytes(vec![content].into())).to_vec();
    let two = Outcome::of(Verdict::Allow { payloads, response: Bytes::new() }, &key()).expect("listed");
    assert_eq!(abstains(opened.replayed(Ok(two))), Some(FailureKind::Disagreement));
    assert_eq!(opened.me.shares_made(), 0);
}

#[test]
fn a_session_ends_with_its_request_or_after_a_while() {
    for (request_ms, session_ms) in [(60_000, SESSION_MS), (10_000, 10_000)] {
        let mut me = participant(id(1));
        let request = Request { expires_at: NOW + request_ms, ..request(1) };
        run_of(me.receive(id(COORDINATOR), proposal(signed(request), NOW), NOW, &mut rng(1)));
        let mut open_after = |ms: u64| {
            me.tick(NOW + ms);
            me.open_sessions()
        };
        assert_eq!((open_after(session_ms - 1), open_after(session_ms)), (1, 0), "{session_ms}");
    }
}

#[test]
fn what_a_coordinator_brings_to_a_receipt_is_bounded() {
    type Change = fn(&mut Completion);
    let changes: [(&str, Change, bool); 4] = [
        ("as it is", |_| (), true),
        ("too many signatures", |c| c.signatures = vec![Signature(Bytes::new()); MAX_PAYLOADS + 1], false),
        (
            "too many shares",
            |c| {
                let part = c.signers.get_mut(&id(1)).expect("it signed");
                part.shares = vec![part.shares[0].clone(); MAX_PAYLOADS + 1];
            },
            false,
        ),
        (
            "too many signers",
            |c| {
                let part = c.signers[&id(1)].clone();
                c.signers = (1..=SIZE + 1).map(|number| (id(number), part.clone())).collect();
            },
            false,
        ),
    ];
    for (name, change, is_taken) in changes {
        let mut opened = opened(NOW);
        opened.replaying();
        let kept = opened.replayed(Ok(allow(1))).into_iter().find_map(|effect| match effect {
            Effect::Keep(given) => Some(given.part),
            Effect::Send { .. } | Effect::Observe(_) | Effect::Replay { .. } | Effect::Closed { .. } => None,
        });
        let signers = BTreeMap::from([(id(1), kept.expect("it signed"))]);
        let mut completion = Completion { attempt: 1, signers, signatures: vec![Signature(Bytes::new())] };
        change(&mut completion);
        let close =
            ToParticipant::Close { session: opened.run.session, signed: Some(Box::new(completion.clone())) };
        let effects = opened.me.receive(id(COORDINATOR), close, NOW, &mut rng(3));
        let [Effect::Closed { signed, .. }] = &effects[..] else { panic!("{name}: {effects:?}") };
        assert_eq!(signed.as_deref(), is_taken.then_some(&completion), "{name}");
    }
}
