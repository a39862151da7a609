//! What a participant does with requests, proposals, packages and replays.

use std::collections::{BTreeMap, BTreeSet};

use countersign_session::{
    message::{Decline, Observation, Package, Proposal, ToCoordinator, ToParticipant},
    participant::{
        Effect, LiveRun, LocalFailure, MAX_BATCH, MAX_RECORDED_BYTES, MAX_SESSIONS_PER_COORDINATOR,
        MAX_SKEW_MS, MAX_SPARE, Participant, Run,
    },
};
use countersign_types::{B256, EngineId, FailureKind, Identifier, Outcome, Pin, ReadId, Record, RecordEntry};

use crate::{
    admission::admit,
    committee::{NETWORK, NOW, allow, id, identity, participant, request, rng, signed, terms},
    table::{agreed_number, number_record},
};

fn propose(nonce: u8, time_ms: u64) -> ToParticipant {
    let request = request(nonce);
    let terms = terms(&request, time_ms);
    ToParticipant::Propose(Box::new(Proposal { request: signed(request), terms, eager: None }))
}

pub(crate) fn answers(effects: Vec<Effect<()>>) -> Vec<(Identifier, ToCoordinator)> {
    effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Send { to, message } => Some((to, message)),
            Effect::Observe(_) | Effect::Replay { .. } | Effect::Keep(_) | Effect::Closed { .. } => None,
        })
        .collect()
}

pub(crate) fn declined(effects: Vec<Effect<()>>) -> Option<Decline> {
    answers(effects).into_iter().find_map(|(_, message)| match message {
        ToCoordinator::Declined { decline, .. } => Some(decline),
        ToCoordinator::Observed(_) | ToCoordinator::Committed { .. } | ToCoordinator::Signed(_) => None,
    })
}

pub(crate) fn run_of(effects: Vec<Effect<()>>) -> Run {
    let run = effects.into_iter().find_map(|effect| match effect {
        Effect::Observe(run) => Some(run),
        Effect::Send { .. } | Effect::Replay { .. } | Effect::Keep(_) | Effect::Closed { .. } => None,
    });
    run.expect("the proposal is taken")
}

fn record(value: u8) -> Record {
    let read = ReadId(B256::repeat_byte(1));
    Record { entries: vec![RecordEntry::Identical { read, value: B256::repeat_byte(value), length: 1 }] }
}

fn live(end: Result<Outcome, LocalFailure>, value: u8) -> LiveRun<()> {
    LiveRun { end, record: record(value), recorded: (), recorded_bytes: 0 }
}

/// A session of one participant, which has observed, with two others that its coordinator made up.
pub(crate) struct Opened {
    pub(crate) me: Participant<()>,
    pub(crate) run: Run,
    observation: Observation,
}

pub(crate) const COORDINATOR: u16 = 2;

pub(crate) fn opened(time_ms: u64) -> Opened {
    open(participant(id(1)), id(COORDINATOR), time_ms)
}

fn open(me: Participant<()>, coordinator: Identifier, time_ms: u64) -> Opened {
    open_with(me, coordinator, time_ms, record(1))
}

/// A session in which this participant read a number.
pub(crate) fn opened_over(number: u64) -> Opened {
    open_with(participant(id(1)), id(COORDINATOR), NOW, number_record(number))
}

fn open_with(mut me: Participant<()>, coordinator: Identifier, time_ms: u64, record: Record) -> Opened {
    let run = run_of(me.receive(coordinator, propose(1, time_ms), NOW, &mut rng(1)));
    let live = LiveRun { record, ..live(Ok(allow(1)), 1) };
    let effects = me.observed(&run, live, &mut rng(time_ms + u64::from(coordinator.get())));
    let observation = match answers(effects).pop() {
        Some((to, ToCoordinator::Observed(observation))) if to == coordinator => *observation,
        other => panic!("expected an observation, got {other:?}"),
    };
    Opened { me, run, observation }
}

impl Opened {
    /// A package of this participant and two that read the same.
    pub(crate) fn package(&self) -> Package {
        let mut others = rng(77 + u64::from(self.run.session.as_bytes()[0]));
        let mut signers = BTreeMap::from([(id(1), self.observation.commitments.clone())]);
        for other in [id(3), id(4)] {
            let share = crate::committee::share(other).derive(&crate::committee::key().key_id());
            let (_, commitments) = share.expect("derives").commit(&mut others);
            signers.insert(other, vec![commitments]);
        }
        let base: BTreeSet<Identifier> = signers.keys().copied().collect();
        let records = base.iter().map(|id| (*id, self.observation.record.clone())).collect();
        let mut package = Package {
            session: self.run.session,
            attempt: 1,
            base,
            records,
            signatures: BTreeMap::new(),
            signers,
        };
        sign_records(&mut package);
        package
    }

    pub(crate) fn sign(&mut self, package: &Package) -> Vec<Effect<()>> {
        let message = ToParticipant::Sign { package: Box::new(package.clone()), send_verdict: true };
        self.me.receive(id(COORDINATOR), message, NOW, &mut rng(2))
    }

    pub(crate) fn replayed(&mut self, end: Result<Outcome, LocalFailure>) -> Vec<Effect<()>> {
        let run = self.run.clone();
        self.me.replayed(&run, 1, end, NOW)
    }
}

/// Signs every record of a package by its member.
pub(crate) fn sign_records(package: &mut Package) {
    let session = package.session;
    let differing = package.records.iter().filter(|(_, record)| !record.is_identical());
    package.signatures =
        differing.map(|(id, record)| (*id, record.sign(NETWORK, session, &identity(*id)))).collect();
}

fn replays(effects: &[Effect<()>]) -> usize {
    let one =
        |effect: &&Effect<()>| matches!(effect, Effect::Replay { agreed, .. } if agreed.entries.len() == 1);
    effects.iter().filter(one).count()
}

#[test]
fn a_share_comes_for_the_own_replays_messages_and_once() {
    let mut opened = opened(NOW);
    let package = opened.package();
    assert_eq!(replays(&opened.sign(&package)), 1);
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
fn a_repeated_proposal_gets_the_same_commitments() {
    let mut opened = opened(NOW);
    let again = answers(opened.me.receive(id(COORDINATOR), propose(1, NOW), NOW, &mut rng(9)));
    assert_eq!(again, [(id(COORDINATOR), ToCoordinator::Observed(Box::new(opened.observation.clone())))]);
}

#[test]
fn a_package_that_comes_again_during_its_replay_is_not_declined() {
    let mut opened = opened(NOW);
    let package = opened.package();
    assert_eq!(replays(&opened.sign(&package)), 1);
    assert!(opened.sign(&package).is_empty());
    let first = answers(opened.replayed(Ok(allow(1))));
    assert_eq!(first.len(), 1);
    assert_eq!(answers(opened.sign(&package)), first, "and after it gets the same answer");
    assert_eq!(opened.me.shares_made(), 1);
}

#[test]
fn a_refusal_that_was_lost_comes_again_with_its_reason() {
    let mut opened = opened(NOW);
    let package = opened.package();
    opened.sign(&package);
    let refusal = Decline::Refused { reason: "too little".into() };
    let refuses = Ok(Outcome::Refused { reason: "too little".into() });
    assert_eq!(declined(opened.replayed(refuses)), Some(refusal.clone()));
    assert_eq!(declined(opened.sign(&package)), Some(refusal));
    assert_eq!(opened.me.shares_made(), 0);
}

#[test]
fn commitments_are_good_for_one_package() {
    let mut opened = opened(NOW);
    let package = opened.package();
    let mut other = package.clone();
    other.records.insert(id(5), other.records[&id(1)].clone());
    other.base.insert(id(5));
    opened.sign(&package);
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
    let package = first.package();
    first.sign(&package);
    first.replayed(Ok(allow(1)));
    let mut second = open(first.me, id(COORDINATOR), NOW + 1);
    let package = second.package();
    second.sign(&package);
    let decline = declined(second.replayed(Ok(allow(2))));
    assert!(matches!(decline, Some(Decline::Abstain { kind: FailureKind::Disagreement, .. })), "{decline:?}");
    assert_eq!(second.me.shares_made(), 1);
    // the same outcome again is fine
    let mut third = open(second.me, id(COORDINATOR), NOW + 2);
    let package = third.package();
    third.sign(&package);
    assert!(declined(third.replayed(Ok(allow(1)))).is_none());
    assert_eq!(third.me.shares_made(), 2);
}

#[test]
fn a_request_that_ends_during_the_replay_gets_no_share() {
    let mut opened = opened(NOW);
    let package = opened.package();
    opened.sign(&package);
    let run = opened.run.clone();
    let decline = declined(opened.me.replayed(&run, 1, Ok(allow(1)), NOW + 60_000));
    assert!(matches!(decline, Some(Decline::Abstain { kind: FailureKind::Expired, .. })), "{decline:?}");
    assert_eq!(opened.me.shares_made(), 0);
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
    let package = first.package();
    first.sign(&package);
    let close = ToParticipant::Close { session: first.run.session, signed: None };
    first.me.receive(id(COORDINATOR), close, NOW, &mut rng(3));
    first.me.release(&first.run.request.digest());
    for time in [NOW, NOW - 1] {
        let decline = declined(first.me.receive(id(COORDINATOR), propose(1, time), NOW, &mut rng(1)));
        let Some(Decline::Abstain { kind: FailureKind::Unavailable, reason }) = decline else {
            panic!("{decline:?}")
        };
        assert!(reason.contains("each needs a later time"), "{reason}");
    }
    let mut second = open(first.me, id(COORDINATOR), NOW + 1);
    let package = second.package();
    second.sign(&package);
    assert!(second.me.replayed(&first.run, 1, Ok(allow(9)), NOW).is_empty(), "that session is closed");
    assert_eq!(second.me.shares_made(), 0);
    assert!(declined(second.replayed(Ok(allow(1)))).is_none());
    assert_eq!(second.me.shares_made(), 1);
}

/// A coordinator could otherwise fill the memory with requests of which nothing comes.
#[test]
fn a_request_that_is_not_the_terms_is_not_remembered() {
    let mut me = participant(id(1));
    let terms = terms(&request(2), NOW);
    let proposal = Proposal { request: signed(request(1)), terms, eager: None };
    let message = ToParticipant::Propose(Box::new(proposal));
    let decline = declined(me.receive(id(2), message, NOW, &mut rng(1)));
    assert!(matches!(decline, Some(Decline::Abstain { kind: FailureKind::Invalid, .. })), "{decline:?}");
    let mut same_nonce = request(1);
    same_nonce.params = vec![1].into();
    assert!(admit(&mut me, signed(same_nonce), NOW).is_ok(), "nothing holds its nonce");
}

#[test]
fn what_live_runs_leave_behind_is_bounded_for_each_coordinator() {
    let mut me = participant(id(1));
    let each = MAX_RECORDED_BYTES / 5 / 2 + 1;
    let mut observe = |coordinator: u16, time_ms: u64, recorded_bytes: usize| {
        let run = run_of(me.receive(id(coordinator), propose(1, time_ms), NOW, &mut rng(1)));
        let live = LiveRun { recorded_bytes, ..live(Ok(allow(1)), 1) };
        declined(me.observed(&run, live, &mut rng(time_ms)))
    };
    assert_eq!(observe(2, NOW, each), None);
    let decline = observe(2, NOW + 1, each);
    assert!(matches!(decline, Some(Decline::Abstain { kind: FailureKind::Busy, .. })), "{decline:?}");
    assert_eq!(observe(2, NOW + 2, each - 2), None, "the one before left nothing");
    assert_eq!(observe(3, NOW, usize::MAX), None, "the first is taken, however much it left");
}

#[test]
fn malformed_commitments_of_another_are_that_packages_fault_only() {
    let mut opened = opened(NOW);
    let mut package = opened.package();
    let garbage = countersign_types::Bytes::from(vec![5; 66]);
    package.signers.insert(id(3), vec![garbage.try_into().expect("short enough")]);
    opened.sign(&package);
    let answer = answers(opened.replayed(Ok(allow(1)))).pop();
    let Some((_, ToCoordinator::Declined { attempt: Some(1), .. })) = answer else { panic!("{answer:?}") };
    let commit = ToParticipant::Commit { session: opened.run.session, attempt: 2 };
    let further = answers(opened.me.receive(id(COORDINATOR), commit, NOW, &mut rng(4)));
    assert!(matches!(further[..], [(_, ToCoordinator::Committed { attempt: 2, .. })]), "{further:?}");
}

/// So many pins, of one chain each.
fn pins(count: u64) -> Vec<Pin> {
    (1..=count).map(|chain_id| Pin { chain_id, number: 1, hash: B256::ZERO, timestamp: 0 }).collect()
}

#[test]
fn terms_of_another_time_epoch_or_engine_are_declined() {
    let declines = |change: fn(&mut countersign_types::SessionTerms)| {
        let request = request(1);
        let mut terms = terms(&request, NOW);
        change(&mut terms);
        let proposal = Proposal { request: signed(request), terms, eager: None };
        let message = ToParticipant::Propose(Box::new(proposal));
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
    assert!(declines(|t| t.request = countersign_types::RequestDigest::from([9; 32])));
}

#[test]
fn a_coordinator_has_a_bounded_number_of_sessions() {
    let mut me = participant(id(1));
    for index in 0..MAX_SESSIONS_PER_COORDINATOR as u64 {
        run_of(me.receive(id(2), propose(1, NOW + index), NOW, &mut rng(1)));
    }
    let one_more = propose(1, NOW + MAX_SESSIONS_PER_COORDINATOR as u64);
    let decline = declined(me.receive(id(2), one_more, NOW, &mut rng(1)));
    assert!(matches!(decline, Some(Decline::Abstain { kind: FailureKind::Busy, .. })), "{decline:?}");
    run_of(me.receive(id(3), propose(1, NOW), NOW, &mut rng(1)));
}

/// A package in which members 3 and 4 read these numbers, with everybody's signature.
pub(crate) fn package_over(opened: &Opened, numbers: [u64; 2]) -> Package {
    let mut package = opened.package();
    package.records.insert(id(3), number_record(numbers[0]));
    package.records.insert(id(4), number_record(numbers[1]));
    sign_records(&mut package);
    package
}

pub(crate) fn agreed(effects: &[Effect<()>]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::Replay { agreed, .. } => agreed_number(agreed),
        Effect::Send { .. } | Effect::Observe(_) | Effect::Keep(_) | Effect::Closed { .. } => None,
    })
}

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
    let decline = declined(opened.sign(&package));
    assert!(matches!(decline, Some(Decline::Abstain { kind: FailureKind::Disagreement, .. })), "{decline:?}");
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
            let session = countersign_types::SessionId::from([9; 32]);
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

#[test]
fn a_purge_leaves_no_nonce_and_tells_who_waits() {
    let tells = |effects: &[Effect<()>], run: &Run| {
        let told = |effect: &Effect<()>| {
            matches!(effect, Effect::Send { to, message: ToCoordinator::Declined { session, attempt: None, .. } }
                if *to == run.coordinator && *session == run.session)
        };
        effects.len() == 1 && effects.iter().all(told)
    };

    // before the package, and while it is replayed
    for replaying in [false, true] {
        let mut opened = opened(NOW);
        opened.me.hand_out(id(3), request(1).key.scheme, 4, NOW, &mut rng(5));
        opened.me.prepare(&mut rng(6));
        assert_eq!((opened.me.nonces_in_advance(), opened.me.spare_nonces()), (4, 1));
        let package = opened.package();
        if replaying {
            assert_eq!(replays(&opened.sign(&package)), 1);
        }
        let effects = opened.me.purge();
        assert!(tells(&effects, &opened.run), "{effects:?}");
        assert_eq!((opened.me.nonces_in_advance(), opened.me.spare_nonces()), (0, 0));
        assert_eq!(opened.me.open_sessions(), 0);
        assert!(opened.replayed(Ok(allow(1))).is_empty());
        assert!(declined(opened.sign(&package)).is_some());
        assert_eq!(opened.me.shares_made(), 0);
        // a proposal that comes again opens nothing under the old terms, and the request is good for new ones
        let again = opened.me.receive(id(COORDINATOR), propose(1, NOW), NOW, &mut rng(9));
        assert!(declined(again).is_some());
        let fresh = open(opened.me, id(COORDINATOR), NOW + 1);
        assert_ne!(fresh.observation.commitments, opened.observation.commitments);
    }

    // a live run that ends afterwards commits to nothing
    let mut me = participant(id(1));
    let run = run_of(me.receive(id(COORDINATOR), propose(1, NOW), NOW, &mut rng(1)));
    let effects = me.purge();
    assert!(tells(&effects, &run), "{effects:?}");
    assert!(me.observed(&run, live(Ok(allow(1)), 1), &mut rng(2)).is_empty());

    // whoever has its shares is not told that they are void
    let mut opened = opened(NOW);
    let package = opened.package();
    opened.sign(&package);
    opened.replayed(Ok(allow(1)));
    assert!(opened.me.purge().is_empty());
}

#[test]
fn nonces_made_between_sessions_are_bounded_and_serve_once() {
    let mut me = participant(id(1));
    assert!(!me.wants_spare_nonces(), "no scheme is in use yet");
    me.prepare(&mut rng(3));
    assert_eq!(me.spare_nonces(), 0);
    let mut me = open(me, id(COORDINATOR), NOW).me;
    while me.wants_spare_nonces() {
        me.prepare(&mut rng(me.spare_nonces() as u64 + 10));
    }
    me.prepare(&mut rng(4));
    assert_eq!(me.spare_nonces(), MAX_SPARE);

    // whoever asks gets those, and each is given once: to a member in advance, or to a session
    let batch = u16::try_from(MAX_BATCH).expect("small");
    let handed_out = me.hand_out(id(3), request(1).key.scheme, batch, NOW, &mut rng(5));
    assert_eq!(me.spare_nonces(), MAX_SPARE - MAX_BATCH);
    let opened = open(me, id(4), NOW);
    assert_eq!(opened.me.spare_nonces(), MAX_SPARE - MAX_BATCH - 1);
    let mut me = opened.me;
    let rest = me.hand_out(id(5), request(1).key.scheme, batch, NOW, &mut rng(5));
    let all: BTreeSet<_> = handed_out.iter().chain(&opened.observation.commitments).chain(&rest).collect();
    assert_eq!(all.len(), 2 * MAX_BATCH + 1);
    assert_eq!(me.spare_nonces(), 0);
    assert_eq!(
        me.hand_out(id(5), request(1).key.scheme, 1, NOW, &mut rng(6)).len(),
        1,
        "else they are made then"
    );
}

#[test]
fn nonces_made_between_sessions_do_not_outlive_their_use_for_long() {
    let mut me = open(participant(id(1)), id(COORDINATOR), NOW).me;
    me.tick(NOW);
    me.prepare(&mut rng(3));
    me.tick(NOW + 4_999);
    assert_eq!(me.spare_nonces(), 1);
    me.tick(NOW + 5_000);
    assert_eq!(
        (me.spare_nonces(), me.wants_spare_nonces()),
        (0, false),
        "wiped, and none made until one is used"
    );
    me.hand_out(id(3), request(1).key.scheme, 1, NOW + 5_000, &mut rng(4));
    assert!(me.wants_spare_nonces());
}
