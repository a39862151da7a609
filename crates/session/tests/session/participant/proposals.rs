//! Which sessions are opened: once each, on terms that this node can judge, and not too many of one coordinator.

use countersign_session::{
    message::{Decline, ToCoordinator, ToParticipant},
    participant::{LiveRun, MAX_RECORDED_BYTES, MAX_SESSIONS_PER_COORDINATOR, MAX_SKEW_MS},
};
use countersign_types::{B256, EngineId, FailureKind, Pin, RequestDigest, SessionTerms};

use super::{COORDINATOR, abstains, answers, declined, live, open, opened, proposal_on, propose, run_of};
use crate::{
    admission::admit,
    committee::{NOW, allow, id, participant, request, rng, signed, terms},
};

#[test]
fn a_repeated_proposal_gets_the_same_commitments() {
    let mut opened = opened(NOW);
    let again = answers(opened.me.receive(id(COORDINATOR), propose(NOW), NOW, &mut rng(9)));
    assert_eq!(again, [(id(COORDINATOR), ToCoordinator::Observed(Box::new(opened.observation.clone())))]);
}

#[test]
fn two_coordinators_with_the_same_terms_are_both_answered() {
    let first = open(participant(id(1)), id(2), NOW);
    let second = open(first.me, id(3), NOW);
    assert_eq!(first.run.session, second.run.session, "the terms do not name the coordinator");
    assert_ne!(first.observation.commitments, second.observation.commitments);
    // and neither can close, or use, what belongs to the other
    let mut me = second.me;
    assert_eq!(me.open_sessions(), 2);
    me.receive(id(3), ToParticipant::Close { session: first.run.session, signed: None }, NOW, &mut rng(1));
    assert_eq!(me.open_sessions(), 1);
}

/// It would have a second record signed, and a second vote, under the same session.
#[test]
fn a_session_is_opened_once_whatever_becomes_of_it() {
    let mut first = opened(NOW);
    first.replaying();
    let close = ToParticipant::Close { session: first.run.session, signed: None };
    first.me.receive(id(COORDINATOR), close, NOW, &mut rng(3));
    first.me.release(&first.run.request.digest());
    for time in [NOW, NOW - 1] {
        let decline = declined(first.me.receive(id(COORDINATOR), propose(time), NOW, &mut rng(1)));
        let Some(Decline::Abstain { kind: FailureKind::Unavailable, reason }) = decline else {
            panic!("{decline:?}")
        };
        assert!(reason.contains("each needs a later time"), "{reason}");
    }
    let mut second = open(first.me, id(COORDINATOR), NOW + 1);
    second.replaying();
    assert!(second.me.replayed(&first.run, 1, Ok(allow(9)), NOW).is_empty(), "that session is closed");
    assert_eq!(second.me.shares_made(), 0);
    assert!(declined(second.replayed(Ok(allow(1)))).is_none());
    assert_eq!(second.me.shares_made(), 1);
}

/// A coordinator could otherwise fill the memory with requests of which nothing comes.
#[test]
fn a_request_that_is_not_the_terms_is_not_remembered() {
    let mut me = participant(id(1));
    let message = proposal_on(signed(request(1)), terms(&request(2), NOW));
    assert_eq!(abstains(me.receive(id(2), message, NOW, &mut rng(1))), Some(FailureKind::Invalid));
    let mut same_nonce = request(1);
    same_nonce.params = vec![1].into();
    assert!(admit(&mut me, signed(same_nonce), NOW).is_ok(), "nothing holds its nonce");
}

#[test]
fn what_live_runs_leave_behind_is_bounded_for_each_coordinator() {
    let mut me = participant(id(1));
    let each = MAX_RECORDED_BYTES / 5 / 2 + 1;
    let mut observe = |coordinator: u16, time_ms: u64, recorded_bytes: usize| {
        let run = run_of(me.receive(id(coordinator), propose(time_ms), NOW, &mut rng(1)));
        abstains(me.observed(&run, LiveRun { recorded_bytes, ..live() }, &mut rng(time_ms)))
    };
    assert_eq!(observe(2, NOW, each), None);
    assert_eq!(observe(2, NOW + 1, each), Some(FailureKind::Busy));
    assert_eq!(observe(2, NOW + 2, each - 2), None, "the one before left nothing");
    assert_eq!(observe(3, NOW, usize::MAX), None, "the first is taken, however much it left");
}

/// So many pins, of one chain each.
fn pins(count: u64) -> Vec<Pin> {
    (1..=count).map(|chain_id| Pin { chain_id, number: 1, hash: B256::ZERO, timestamp: 0 }).collect()
}

#[test]
fn terms_of_another_time_epoch_or_engine_are_declined() {
    let declines = |change: fn(&mut SessionTerms)| {
        let request = request(1);
        let mut terms = terms(&request, NOW);
        change(&mut terms);
        let message = proposal_on(signed(request), terms);
        declined(participant(id(1)).receive(id(2), message, NOW, &mut rng(1))).is_some()
    };
    assert!(!declines(|_| ()));
    assert!(!declines(|t| t.time_ms += MAX_SKEW_MS));
    assert!(declines(|t| t.time_ms += MAX_SKEW_MS + 1));
    assert!(declines(|t| t.time_ms -= MAX_SKEW_MS + 1));
    assert!(!declines(|t| t.pins = pins(8)));
    assert!(declines(|t| t.pins = pins(9)));
    assert!(declines(|t| t.pins = pins(2).into_iter().rev().collect()));
    assert!(declines(|t| t.pins = vec![pins(1)[0]; 2]));
    assert!(declines(|t| t.epoch = 2));
    assert!(declines(|t| t.engine = EngineId::from([9; 32])));
    assert!(declines(|t| t.request = RequestDigest::from([9; 32])));
}

#[test]
fn a_coordinator_has_a_bounded_number_of_sessions() {
    let mut me = participant(id(1));
    for index in 0..MAX_SESSIONS_PER_COORDINATOR as u64 {
        run_of(me.receive(id(2), propose(NOW + index), NOW, &mut rng(1)));
    }
    let one_more = propose(NOW + MAX_SESSIONS_PER_COORDINATOR as u64);
    assert_eq!(abstains(me.receive(id(2), one_more, NOW, &mut rng(1))), Some(FailureKind::Busy));
    run_of(me.receive(id(3), propose(NOW), NOW, &mut rng(1)));
}
