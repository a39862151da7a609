//! From stored shares to root keys that all activated: confirmations, activation, completion.

use countersign_types::{
    Activation, AttemptId, B256, Identifier, NodeSignature,
    mutant::{Mutant, broken},
};

use super::{
    Effect, KeyGen, Message,
    attempt::{Running, Step},
    pending::Candidate,
};
use crate::Millis;

impl KeyGen {
    /// The pending shares are stored: only now are the roots confirmed.
    pub fn stored_pending(&mut self, attempt: AttemptId) -> Vec<Effect> {
        let storing = |running: &mut Running| running.id == attempt && running.step.is_storing();
        let Some(mut running) = self.running.take_if(storing) else { return Vec::new() };
        let Step::Storing { roots } = std::mem::replace(&mut running.step, Step::Over) else {
            return Vec::new();
        };
        let mut candidate = Candidate::new(roots);
        candidate.confirm_own(&self.membership, &self.identity, attempt);
        candidate.early(&self.membership, attempt, std::mem::take(&mut running.early_confirmations));
        let message = candidate.confirmation(&self.membership, attempt);
        self.pending.insert(attempt, candidate);
        self.latest = Some(attempt);
        self.start_at = running.ends;
        self.settled = Some(Box::new(running));
        let mut effects = message.map(|message| self.to_all(&message)).unwrap_or_default();
        effects.extend(self.try_activate(attempt));
        effects
    }

    /// The activation is stored: only now is it signed.
    pub fn stored_activation(&mut self, attempt: AttemptId) -> Vec<Effect> {
        if self.activated != Some(attempt) {
            return Vec::new();
        }
        let Some(candidate) = self.pending.get_mut(&attempt) else { return Vec::new() };
        candidate.activate_own(&self.membership, &self.identity, attempt);
        let message = candidate.activation(&self.membership, attempt);
        let mut effects = message.map(|message| self.to_all(&message)).unwrap_or_default();
        effects.extend(self.try_complete(attempt));
        effects
    }

    pub(super) fn confirmed(
        &mut self,
        from: Identifier,
        attempt: AttemptId,
        roots: B256,
        signature: NodeSignature,
        now: Millis,
    ) -> Vec<Effect> {
        if let Some(running) = self.running.as_mut().filter(|running| running.id == attempt) {
            running.early_confirmations.insert(from, (roots, signature));
            return Vec::new();
        }
        let Some(candidate) = self.pending.get_mut(&attempt) else { return Vec::new() };
        if let Err(reason) = candidate.confirmed(&self.membership, attempt, from, roots, signature) {
            self.schedule_next(now);
            return vec![Effect::GivenUp { attempt, reason, culprits: Vec::new() }];
        }
        // whoever confirmed a later attempt follows an earlier one only if another member activated it:
        // else two attempts could each be activated by some
        if self.latest == Some(attempt) { self.try_activate(attempt) } else { Vec::new() }
    }

    pub(super) fn activation(
        &mut self,
        from: Identifier,
        attempt: AttemptId,
        confirmations: &[NodeSignature],
        signature: NodeSignature,
    ) -> Vec<Effect> {
        let Some(candidate) = self.pending.get_mut(&attempt) else { return Vec::new() };
        candidate.all_confirmed(&self.membership, attempt, confirmations);
        candidate.activated(&self.membership, attempt, from, signature);
        let mut effects = self.try_activate(attempt);
        effects.extend(self.try_complete(attempt));
        effects
    }

    /// Activates an attempt that all confirmed, if this member has activated no other for its schemes: one attempt
    /// is on its way at a time, and those whose schemes are done are forgotten.
    fn try_activate(&mut self, attempt: AttemptId) -> Vec<Effect> {
        if self.activated.is_some() {
            return Vec::new();
        }
        let confirmations = self.pending.get(&attempt).and_then(|c| c.confirmations(&self.membership));
        let Some(confirmations) = confirmations else { return Vec::new() };
        self.activated = Some(attempt);
        self.settled = None;
        let mut effects = Vec::new();
        if let Some(running) = self.running.take() {
            let reason = format!("attempt {attempt} is confirmed by all");
            effects.push(Effect::GivenUp { attempt: running.id, reason, culprits: Vec::new() });
        }
        effects.push(Effect::StoreActivation { attempt, confirmations });
        if broken(Mutant::ActivatesBeforeStoring) {
            effects.extend(self.stored_activation(attempt));
        }
        effects
    }

    fn try_complete(&mut self, attempt: AttemptId) -> Vec<Effect> {
        if self.activated != Some(attempt) {
            return Vec::new();
        }
        let complete = self.pending.get(&attempt).and_then(|c| c.complete(&self.membership, attempt));
        complete.map(|activation| self.completed(activation)).unwrap_or_default()
    }

    /// Root keys that all activated, from a member that has them complete.
    pub(super) fn activated_by_all(&mut self, activation: Activation) -> Vec<Effect> {
        let membership = &self.membership;
        let fits = !self.has_any(activation.schemes())
            && self.pending.get(&activation.attempt).is_some_and(|own| own.roots() == activation.roots)
            && activation.verify(membership.network, membership.epoch, &membership.committee).is_ok();
        if fits { self.completed(activation) } else { Vec::new() }
    }

    /// What is left of the schemes is the next ceremony's.
    fn completed(&mut self, activation: Activation) -> Vec<Effect> {
        (self.running, self.settled, self.latest, self.activated) = (None, None, None, None);
        (self.failures, self.start_at) = (0, 0);
        self.complete.push(activation.clone());
        self.forget_done();
        vec![Effect::Completed(Box::new(activation))]
    }

    /// Whether this message shows that its sender does not know yet what is done.
    pub(super) fn is_of_a_latecomer(&self, message: &Message) -> bool {
        let is_open = |attempt: &AttemptId| {
            self.pending.contains_key(attempt)
                || self.running.as_ref().is_some_and(|running| running.id == *attempt)
        };
        match message {
            Message::Start { terms } => self.has_any(terms.schemes.iter().copied()),
            Message::Confirm { attempt, .. } | Message::Activate { attempt, .. } => {
                !self.complete.is_empty() && !is_open(attempt)
            }
            Message::Round1 { .. }
            | Message::Echo { .. }
            | Message::Round2 { .. }
            | Message::Abort { .. }
            | Message::Activated(_) => false,
        }
    }

    /// What is done, for a member that may not know it.
    pub(super) fn tell_done(&self, member: Identifier) -> Vec<Effect> {
        let tell = |done: &Activation| {
            let message = Message::Activated(Box::new(done.clone()));
            Effect::Send { to: member, message }
        };
        self.complete.iter().map(tell).collect()
    }
}
