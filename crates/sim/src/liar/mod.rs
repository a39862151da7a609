//! Dishonest members: fewer than the threshold, of one mind, with all that any of them has seen.
//!
//! A liar runs an honest node's parts and twists what goes in and out of them, as a signer ([`signer`]) and
//! as a coordinator ([`coordinator`]). What it does in a session it decides once, so that a lie is kept up.

mod coordinator;
mod flood;
mod signer;
mod stolen;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use countersign_session::{
    message::{Observation, Package, Preprocess, Proposal, Signed, ToCoordinator, ToParticipant},
    participant::Run,
};
use countersign_threshold::Commitments;
use countersign_types::{Bytes, Identifier, Outcome, Scheme, SessionId, SignedRequest};

use crate::{
    chance::Chance,
    faults::{Class, Faults},
    node::{Act, Wire},
    roots::{NETWORK, Roots},
    scenario::Scenario,
    script::Script,
    trace::short,
};
use coordinator::CoordinatorLie;
use signer::SignerLie;

/// How many overheard things of a kind are kept for later use.
const KEPT: usize = 64;

/// What liars of a scenario like to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// Sessions in which a signer declines every package, in a thousand.
    declining: u64,
    /// Sessions of a coordinator that are floods, in a thousand.
    floods: u64,
    /// How many proposals a flood has.
    flood: u64,
}

impl Habits {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        Self { declining: scenario.declining, floods: scenario.floods, flood: scenario.flood }
    }
}

/// All liars of a world.
pub(crate) struct Conspiracy {
    pub(crate) members: BTreeSet<Identifier>,
    pub(crate) faults: Faults,
    /// How they lie, as far as no trace says so yet.
    told: Vec<String>,
    roots: Arc<Roots>,
    habits: Habits,
    chance: Chance,
    signer_lies: BTreeMap<(Identifier, SessionId), SignerLie>,
    coordinator_lies: BTreeMap<(Identifier, SessionId), CoordinatorLie>,
    runs: BTreeMap<SessionId, Run>,
    /// What the action would honestly give where all is well.
    truths: BTreeMap<SessionId, Outcome>,
    observations: BTreeMap<SessionId, BTreeMap<Identifier, Observation>>,
    commitments: Vec<Vec<Commitments>>,
    packages: Vec<(Identifier, Package)>,
    proposals: Vec<(Identifier, Proposal)>,
    /// Votes with their shares, of honest members and of their own.
    votes: Vec<(Identifier, Signed)>,
    /// Who was flooded in which session.
    flooded: BTreeSet<(Identifier, SessionId)>,
}

impl Conspiracy {
    pub(crate) fn new(
        members: BTreeSet<Identifier>,
        roots: Arc<Roots>,
        habits: Habits,
        faults: Faults,
        chance: Chance,
    ) -> Self {
        Self {
            members,
            faults,
            told: Vec::new(),
            roots,
            habits,
            chance,
            signer_lies: BTreeMap::new(),
            coordinator_lies: BTreeMap::new(),
            runs: BTreeMap::new(),
            truths: BTreeMap::new(),
            observations: BTreeMap::new(),
            commitments: Vec::new(),
            packages: Vec::new(),
            proposals: Vec::new(),
            votes: Vec::new(),
            flooded: BTreeSet::new(),
        }
    }

    /// How a liar has begun to lie since this was last asked.
    pub(crate) fn confess(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn tell(&mut self, me: Identifier, session: SessionId, part: &str, lie: impl fmt::Debug) {
        self.told.push(format!("{me} lies in {} as {part}: {lie:?}", short(&session.0)));
    }

    /// A liar is about to run an action: now the conspiracy knows the session.
    pub(crate) fn learns(&mut self, run: &Run, truth: Option<Outcome>) {
        self.runs.insert(run.session, run.clone());
        self.truths.extend(truth.map(|truth| (run.session, truth)));
    }

    /// What a liar of this session would like to see signed.
    pub(crate) fn wish(&self, script: &Script, session: SessionId) -> Option<Outcome> {
        script.forged(&self.runs.get(&session)?.context)
    }

    /// A message reaches a liar; it may do something of its own about it.
    pub(crate) fn overhears(&mut self, me: Identifier, from: Identifier, wire: &Wire) -> Vec<Act> {
        match wire {
            Wire::ToParticipant(ToParticipant::Propose(proposal)) => {
                keep(&mut self.proposals, (from, proposal.as_ref().clone()));
                if let Some(eager) = proposal.eager.clone() {
                    let package = eager.package(proposal.terms.id(NETWORK));
                    keep(&mut self.packages, (from, package));
                }
                Vec::new()
            }
            Wire::ToParticipant(ToParticipant::Sign { package, .. }) => {
                keep(&mut self.packages, (from, package.as_ref().clone()));
                Vec::new()
            }
            Wire::ToCoordinator(ToCoordinator::Observed(observation)) => {
                if !observation.commitments.is_empty() {
                    keep(&mut self.commitments, observation.commitments.clone());
                }
                let session = observation.session;
                let all = self.observations.entry(session).or_default();
                all.insert(from, observation.as_ref().clone());
                self.force_package(me, session)
            }
            Wire::ToCoordinator(ToCoordinator::Committed { commitments, .. }) => {
                keep(&mut self.commitments, commitments.clone());
                Vec::new()
            }
            Wire::ToCoordinator(ToCoordinator::Signed(signed)) => {
                keep(&mut self.votes, (from, signed.as_ref().clone()));
                Vec::new()
            }
            Wire::ToParticipant(ToParticipant::Commit { .. } | ToParticipant::Close { .. })
            | Wire::ToCoordinator(ToCoordinator::Declined { .. })
            | Wire::Preprocess(Preprocess::Ask { .. }) => Vec::new(),
            Wire::Preprocess(Preprocess::HandOut { commitments, .. }) => {
                for one in commitments {
                    keep(&mut self.commitments, vec![one.clone()]);
                }
                Vec::new()
            }
        }
    }

    /// The request of a proposal that reaches a liar, which wants to have it signed over another moment before the one who was
    /// asked does.
    pub(crate) fn takes_up(
        &mut self,
        me: Identifier,
        from: Identifier,
        wire: &Wire,
    ) -> Option<SignedRequest> {
        let Wire::ToParticipant(ToParticipant::Propose(proposal)) = wire else { return None };
        let drawn = !self.members.contains(&from) && self.chance.permille(300);
        let happens = self.faults.happens(Class::Lie, drawn);
        happens.then(|| {
            let session = proposal.terms.id(NETWORK);
            self.told.push(format!("{me} wants to coordinate what {from} does in {}", short(&session.0)));
            proposal.request.clone()
        })
    }

    /// What a liar does in place of what an honest node would.
    pub(crate) fn twist(&mut self, me: Identifier, acts: Vec<Act>) -> Vec<Act> {
        acts.into_iter()
            .flat_map(|act| match act {
                Act::Send { to, wire: Wire::ToCoordinator(message) } => {
                    let answers = self.twist_answer(me, message);
                    answers.into_iter().map(|message| self.answer(me, to, message)).collect()
                }
                Act::Send { to, wire: Wire::ToParticipant(message) } => self.twist_question(me, to, message),
                Act::Send { to, wire: Wire::Preprocess(message) } => {
                    let wire = Wire::Preprocess(self.twist_advance(message));
                    vec![Act::Send { to, wire }]
                }
                other @ (Act::SendLater { .. }
                | Act::Observe(_)
                | Act::Replay { .. }
                | Act::Finished { .. }) => vec![other],
            })
            .collect()
    }

    /// An answer, at once or when it is too late.
    fn answer(&mut self, me: Identifier, to: Identifier, message: ToCoordinator) -> Act {
        let after = self.delay(me, &message);
        let wire = Wire::ToCoordinator(message);
        match after {
            Some(after) => Act::SendLater { to, wire, after },
            None => Act::Send { to, wire },
        }
    }

    /// Commitments that are none, that were used, or that come twice; asked for more than there may be, or for another scheme.
    fn twist_advance(&mut self, message: Preprocess) -> Preprocess {
        match message {
            Preprocess::HandOut { scheme, mut commitments } => {
                match self.chance.between(0, 5) {
                    0 => {
                        let garbage = self.garbage().try_into();
                        commitments.splice(..commitments.len().min(1), garbage);
                    }
                    1 => commitments.splice(.., self.commitments.iter().flatten().cloned()).for_each(drop),
                    2 => commitments.extend(commitments.clone()),
                    _ => {}
                }
                Preprocess::HandOut { scheme, commitments }
            }
            Preprocess::Ask { scheme, .. } => {
                let other = self.chance.permille(100).then(|| self.chance.pick(&Scheme::ALL)).flatten();
                Preprocess::Ask { scheme: other.unwrap_or(scheme), count: u16::MAX }
            }
        }
    }

    fn old_commitments(&mut self, count: usize) -> Option<Vec<Commitments>> {
        let fitting: Vec<usize> =
            (0..self.commitments.len()).filter(|index| self.commitments[*index].len() == count).collect();
        let index = self.chance.pick(&fitting)?;
        Some(self.commitments[index].clone())
    }

    fn garbage(&mut self) -> Bytes {
        let length = self.chance.pick(&[0, 1, 33, 66]).unwrap_or(0);
        let bytes = [self.chance.bytes(), self.chance.bytes(), self.chance.bytes()].concat();
        bytes[..length].to_vec().into()
    }

    fn identity(&self, me: Identifier) -> countersign_types::NodeKey {
        self.roots.identity(me)
    }

    fn package_hash(package: &Package) -> countersign_types::PackageHash {
        package.hash(NETWORK)
    }
}

fn keep<T>(kept: &mut Vec<T>, item: T) {
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push(item);
}
