//! The proposal and its answers: who is asked, and what follows where a member sends what it has observed, or declines.

use countersign_types::{Identifier, MAX_PAYLOADS, outcome::MAX_REASON_BYTES};

use super::{Coordinator, Effect, Fallback, eager::OneRound};
use crate::{
    Membership, Millis,
    message::{Decline, Eager, Observation, Proposal, Provisional, ToParticipant},
};

impl Coordinator {
    /// Asks those that are asked first.
    pub(super) fn propose_first(&mut self) -> Vec<Effect> {
        if self.setup.advance.is_empty() || !self.standings.ask_one(self.setup.membership.me) {
            return self.propose(self.setup.membership.threshold());
        }
        self.one_round = OneRound::OwnRun;
        vec![Effect::Send { to: self.setup.membership.me, message: self.proposal(None) }]
    }

    /// Asks up to `count` of the members that were not asked yet.
    pub(super) fn propose(&mut self, count: usize) -> Vec<Effect> {
        let asked = self.standings.ask(count);
        asked.into_iter().map(|to| Effect::Send { to, message: self.proposal(None) }).collect()
    }

    pub(super) fn proposal(&self, eager: Option<&Eager>) -> ToParticipant {
        let request = self.setup.request.signed().clone();
        let eager = eager.cloned().map(Box::new);
        ToParticipant::Propose(Box::new(Proposal { request, terms: self.setup.terms.clone(), eager }))
    }

    pub(super) fn observed(
        &mut self,
        from: Identifier,
        observation: Observation,
        now: Millis,
    ) -> Vec<Effect> {
        if !self.standings.is_waiting(from) {
            return Vec::new();
        }
        let count = observation.commitments.len();
        // C1
        let (allows, decided) = match &observation.decision {
            Provisional::Allow => (true, (1..=MAX_PAYLOADS).contains(&count)),
            Provisional::Refuse { reason } => (false, count == 0 && reason.len() <= MAX_REASON_BYTES),
        };
        let fits = decided && observation.record.is_bounded();
        if !fits {
            self.standings.misbehaved(from, "its observation is beyond the protocol's bounds");
            return self.propose(usize::MAX);
        }
        if !self.is_signed(from, &observation) {
            self.standings.misbehaved(from, "its record is not signed as it must be");
            return self.propose(usize::MAX);
        }
        self.standings.observed(from, observation);
        if allows {
            self.lateness.has_run(self.setup.membership.me, from, &self.standings);
        }
        if matches!(self.one_round, OneRound::OwnRun) && from == self.setup.membership.me {
            return self.after_own_run(now);
        }
        if self.is_awaited(from) {
            // it was to sign at once, and would rather see what the others read
            self.give_attempt_up(Fallback::Observed);
        }
        if allows { Vec::new() } else { self.propose(usize::MAX) }
    }

    /// Whether a record is signed by its node; the own node's word needs no signature here.
    fn is_signed(&self, from: Identifier, observation: &Observation) -> bool {
        let Membership { network, committee, me, .. } = self.setup.membership.as_ref();
        if from == *me {
            return observation.signature.is_some() != observation.record.is_identical();
        }
        committee.member(from).is_some_and(|member| observation.is_signed(*network, member))
    }

    pub(super) fn declined(&mut self, from: Identifier, decline: Decline) -> Vec<Effect> {
        let awaited = self.is_awaited(from);
        if !awaited && !self.standings.is_waiting(from) {
            return Vec::new();
        }
        self.standings.declined(from, decline);
        if awaited {
            self.give_attempt_up(Fallback::Declined);
        }
        self.propose(usize::MAX)
    }
}
