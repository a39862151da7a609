//! How a running attempt goes on, or is given up.

use std::sync::Arc;

use countersign_types::{
    AttemptId, Identifier,
    mutant::{Mutant, broken},
};

use super::{
    Complaint, Effect, FIRST_BACKOFF_MS, KeyGen, LONGEST_BACKOFF_MS, MAX_REASON_BYTES, Message, Refusal,
    attempt::{Failed, Running},
    status::Failure,
};
use crate::{Membership, Millis};

impl KeyGen {
    /// Feeds the running attempt and moves it on as far as it goes.
    pub(super) fn in_attempt(
        &mut self,
        attempt: AttemptId,
        now: Millis,
        feed: impl FnOnce(&mut Running, &Membership) -> Result<(), Failed>,
    ) -> Vec<Effect> {
        let membership = Arc::clone(&self.membership);
        let Some(running) = self.running.as_mut().filter(|running| running.id == attempt) else {
            return Vec::new();
        };
        let result = feed(running, &membership).and_then(|()| running.advance(&membership, &self.identity));
        match result {
            Ok(mut effects) => {
                let storing = self.running.as_ref().is_some_and(|running| running.step.is_storing());
                if storing && broken(Mutant::ConfirmsBeforeStoring) {
                    effects.extend(self.stored_pending(attempt));
                }
                effects
            }
            Err(failed) => self.give_up(failed.reason, failed.culprits, failed.complaint, now),
        }
    }

    pub(super) fn aborted(
        &mut self,
        from: Identifier,
        attempt: AttemptId,
        reason: &str,
        complaint: Option<Complaint>,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(running) = self.running.as_ref().filter(|running| running.id == attempt) else {
            return Vec::new();
        };
        let culprits =
            complaint.map(|complaint| running.judge(&self.membership, from, &complaint)).unwrap_or_default();
        let reason: String = reason.chars().take(MAX_REASON_BYTES / 4).collect();
        if running.step.is_storing() {
            // it goes on, but whoever is to blame is known
            let reason = format!("member {from} gave up: {reason}");
            return self.blame(attempt, reason, culprits).into_iter().collect();
        }
        let by = if culprits.is_empty() { vec![from] } else { culprits.clone() };
        self.stop(Failure { reason: format!("member {from} gave up: {reason}"), by }, culprits, now)
    }

    /// Tells of members that broke the protocol in an attempt that does not end with it.
    pub(super) fn blame(
        &mut self,
        attempt: AttemptId,
        reason: String,
        culprits: Vec<Identifier>,
    ) -> Option<Effect> {
        self.named.extend(&culprits);
        (!culprits.is_empty()).then_some(Effect::Blamed { attempt, reason, culprits })
    }

    /// Gives the running attempt up and tells the others, who may have confirmed it, that this member never will (K8).
    pub(super) fn give_up(
        &mut self,
        reason: String,
        culprits: Vec<Identifier>,
        complaint: Option<Box<Complaint>>,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(running) = self.running.as_ref().filter(|running| !running.step.is_storing()) else {
            return Vec::new();
        };
        let (attempt, is_open) = (running.id, running.is_open());
        let by = if culprits.is_empty() { running.missing(&self.membership) } else { culprits.clone() };
        let mut effects = self.to_all(&Message::Abort { attempt, reason: reason.clone(), complaint });
        effects.extend(self.stop(Failure { reason, by }, culprits, now));
        if is_open {
            effects.extend(self.refuse_to_all(attempt));
        }
        effects
    }

    pub(super) fn refuse_to_all(&self, attempt: AttemptId) -> Vec<Effect> {
        self.to_all(&Message::Refuse(Refusal::sign(&self.membership, &self.identity, attempt)))
    }

    /// Ends the running attempt, unless its shares are on their way to the disk: then this member confirms it, and
    /// learns whether others refuse.
    fn stop(&mut self, failure: Failure, culprits: Vec<Identifier>, now: Millis) -> Vec<Effect> {
        let Some(running) = self.running.take_if(|running| !running.step.is_storing()) else {
            return Vec::new();
        };
        self.schedule_next(now);
        self.named.extend(&culprits);
        let reason = failure.reason.clone();
        self.last_failure = Some(failure);
        vec![Effect::GivenUp { attempt: running.id, reason, culprits }]
    }

    pub(super) fn schedule_next(&mut self, now: Millis) {
        let pause = FIRST_BACKOFF_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_BACKOFF_MS);
        self.failures = self.failures.saturating_add(1);
        self.start_at = now.saturating_add(pause);
    }

    /// What may have been lost: the running attempt's messages, the confirmation, or the activation.
    pub(super) fn resend(&self) -> Vec<Effect> {
        if let Some(attempt) = self.activated {
            let message = self.pending.get(&attempt).and_then(|c| c.activation(&self.membership, attempt));
            return message.map(|message| self.to_all(&message)).unwrap_or_default();
        }
        let mut effects = Vec::new();
        if let Some(running) = self.running.as_ref().filter(|running| running.is_open()) {
            if running.terms.starter == self.membership.me {
                effects.extend(self.to_all(&Message::Start { terms: running.terms.clone() }));
            }
            effects.extend(running.resend(&self.membership, &self.identity));
        }
        if let Some((attempt, candidate)) = self.candidate().filter(|_| !self.is_free()) {
            let settled = self.settled.as_ref().filter(|settled| settled.id == attempt);
            effects.extend(settled.into_iter().flat_map(|s| s.resend(&self.membership, &self.identity)));
            let confirmation = candidate.confirmation(&self.membership);
            effects.extend(confirmation.map(|message| self.to_all(&message)).unwrap_or_default());
        }
        effects
    }
}
