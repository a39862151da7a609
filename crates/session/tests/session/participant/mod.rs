//! What a participant does with proposals, packages and replays. Its session has two other signers, which a coordinator made up.

mod nonces;
mod packages;
mod proposals;
mod records;

use std::collections::{BTreeMap, BTreeSet};

use countersign_session::{
    Millis,
    message::{Decline, Observation, Package, Proposal, ToCoordinator, ToParticipant},
    participant::{Effect, LiveRun, LocalFailure, Participant, Run},
};
use countersign_types::{
    B256, FailureKind, Identifier, Outcome, ReadId, Record, RecordEntry, SessionTerms, SignedRequest,
};

use crate::{
    committee::{NETWORK, NOW, allow, id, identity, participant, request, rng, signed, terms},
    table::{agreed_number, number_record},
};

/// A proposal of a request, in a session of this time.
pub(crate) fn proposal(request: SignedRequest, time_ms: Millis) -> ToParticipant {
    let terms = terms(&request.request, time_ms);
    proposal_on(request, terms)
}

/// A proposal on these terms, whatever request they are of.
fn proposal_on(request: SignedRequest, terms: SessionTerms) -> ToParticipant {
    ToParticipant::Propose(Box::new(Proposal { request, terms, eager: None }))
}

/// A proposal of the request that the sessions here are for.
fn propose(time_ms: Millis) -> ToParticipant {
    proposal(signed(request(1)), time_ms)
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

/// Why a participant abstains, if it does.
pub(crate) fn abstains(effects: Vec<Effect<()>>) -> Option<FailureKind> {
    match declined(effects)? {
        Decline::Abstain { kind, .. } => Some(kind),
        Decline::Refused { .. } => None,
    }
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

/// A live run that allows.
fn live() -> LiveRun<()> {
    LiveRun { end: Ok(allow(1)), record: record(1), recorded: (), recorded_bytes: 0 }
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
    let run = run_of(me.receive(coordinator, propose(time_ms), NOW, &mut rng(1)));
    let live = LiveRun { record, ..live() };
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

    /// Sends it its package, which it replays from here on.
    pub(crate) fn replaying(&mut self) -> Package {
        let package = self.package();
        assert_eq!(replays(&self.sign(&package)), 1);
        package
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
