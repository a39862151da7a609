//! Attempts that cannot be finished any more: who says so (K8), and what that releases.
//!
//! A member that confirmed an attempt takes part in no further one until it is refused: it may be activated at any
//! moment, by whoever has all confirmations. A member says whether it confirms or refuses, never both, so an
//! attempt that an honest member refuses is activated by nobody.

use countersign_types::{AttemptId, AttemptTerms, Identifier};

use super::{Effect, KeyGen, Message, Refusal, pending::Candidate, status::Failure};
use crate::Millis;

impl KeyGen {
    /// The attempt that this member confirmed last, if it is not done.
    pub(super) fn candidate(&self) -> Option<(AttemptId, &Candidate)> {
        self.latest.and_then(|attempt| Some((attempt, self.pending.get(&attempt)?)))
    }

    /// Whether this member may take part in a further attempt.
    pub(super) fn is_free(&self) -> bool {
        self.candidate().is_none_or(|(_, candidate)| candidate.refusal().is_some())
    }

    /// Answers a member that waits for an attempt that this one has no shares of: with a refusal, if it never had
    /// and never will.
    pub(super) fn asked(
        &self,
        from: Identifier,
        attempt: AttemptId,
        terms: &AttemptTerms,
        now: Millis,
    ) -> Vec<Effect> {
        // what was stored before the latest is dropped, and this member may have confirmed it
        if terms.number <= self.latest_number || !self.never_joins(terms.number, now) {
            return Vec::new();
        }
        let refusal = Refusal::sign(&self.membership, &self.identity, attempt);
        vec![Effect::Send { to: from, message: Message::Refuse(refusal) }]
    }

    /// A member's word that it never confirms an attempt, from that member or another.
    pub(super) fn refused(&mut self, refusal: Refusal, now: Millis) -> Vec<Effect> {
        let Refusal { attempt, by, .. } = refusal;
        let is_latest = self.latest == Some(attempt);
        let Some(candidate) = self.pending.get_mut(&attempt) else { return Vec::new() };
        if !is_latest || !refusal.is_signed(&self.membership) {
            return Vec::new();
        }
        let mut effects = Vec::new();
        if let Some(contradiction) = candidate.contradiction(&refusal) {
            effects.push(Effect::Contradiction(contradiction));
            self.named.insert(by);
        }
        let Some(candidate) = self.pending.get_mut(&attempt) else { return effects };
        if self.activated.is_none() && candidate.refuse(refusal) {
            self.settled = None;
            self.schedule_next(now);
            let reason = format!("member {by} never confirms it");
            self.last_failure = Some(Failure { reason: reason.clone(), by: vec![by] });
            effects.push(Effect::GivenUp { attempt, reason, culprits: Vec::new() });
        }
        effects
    }
}
