//! From stored shares to root keys that all activated: confirmations, activation, completion.

use countersign_types::{
    Activation, AttemptId, AttemptTerms, B256, Identifier, NodeSignature,
    mutant::{Mutant, broken},
};

use super::{
    Effect, KeyGen, Message,
    attempt::{Running, Step},
    pending::Candidate,
};
use crate::Millis;

impl KeyGen {
    /// The pending shares are stored (K6): only now are the roots confirmed (K7).
    pub fn stored_pending(&mut self, attempt: AttemptId) -> Vec<Effect> {
        let storing = |running: &mut Running| running.id == attempt && running.step.is_storing();
        let Some(mut running) = self.running.take_if(storing) else { return Vec::new() };
        let Step::Storing { roots } = std::mem::replace(&mut running.step, Step::Over) else {
            return Vec::new();
        };
        let mut candidate = Candidate::new(running.terms.clone(), roots);
        candidate.confirm_own(&self.membership, &self.identity, attempt);
        let early = std::mem::take(&mut running.early_confirmations);
        let culprits = candidate.early(&self.membership, attempt, early);
        let message = candidate.confirmation(&self.membership);
        // whoever confirms this one never activates an earlier one
        if !broken(Mutant::KeepsEarlierAttempts) {
            self.pending.clear();
        }
        self.pending.insert(attempt, candidate);
        self.latest = Some(attempt);
        self.latest_number = running.terms.number;
        self.settled = Some(Box::new(running));
        let mut effects = message.map(|message| self.to_all(&message)).unwrap_or_default();
        effects.extend(culprits.into_iter().filter_map(|by| self.confirms_other_roots(attempt, by)));
        effects.extend(self.try_activate(attempt));
        effects
    }

    /// The activation is stored: only now is it signed (K9).
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

    /// K7, of another member.
    pub(super) fn confirmed(
        &mut self,
        from: Identifier,
        terms: &AttemptTerms,
        roots: B256,
        signature: NodeSignature,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(attempt) = self.id_of(terms) else { return Vec::new() };
        if let Some(running) = self.running.as_mut().filter(|running| running.id == attempt) {
            running.take_early(from, roots, signature);
            return Vec::new();
        }
        let Some(candidate) = self.pending.get_mut(&attempt) else {
            return self.asked(from, attempt, terms, now);
        };
        if candidate.confirmed(&self.membership, attempt, from, roots, signature).is_err() {
            return self.confirms_other_roots(attempt, from).into_iter().collect();
        }
        let mut effects: Vec<Effect> = self.contradicted(attempt).into_iter().collect();
        let refusal = self.pending.get(&attempt).and_then(Candidate::refusal);
        match refusal {
            Some(refusal) => effects.push(Effect::Send { to: from, message: Message::Refuse(refusal) }),
            None if self.latest == Some(attempt) => effects.extend(self.try_activate(attempt)),
            // an older version's: followed only if another member activated it
            None => {}
        }
        effects
    }

    fn confirms_other_roots(&mut self, attempt: AttemptId, member: Identifier) -> Option<Effect> {
        self.blame(attempt, format!("member {member} confirms other root keys"), vec![member])
    }

    /// K9, of another member. Its confirmations are as good as if their senders had sent them.
    pub(super) fn activation(
        &mut self,
        from: Identifier,
        attempt: AttemptId,
        confirmations: &[NodeSignature],
        signature: NodeSignature,
    ) -> Vec<Effect> {
        let Some(candidate) = self.pending.get_mut(&attempt) else {
            // this member has gone on: whoever allowed that has said two things
            let released = self.released.filter(|refusal| refusal.attempt == attempt);
            let message = released.map(Message::Refuse);
            return message.map(|message| Effect::Send { to: from, message }).into_iter().collect();
        };
        candidate.all_confirmed(&self.membership, attempt, confirmations);
        let is_activation = candidate.activated(&self.membership, attempt, from, signature);
        let mut effects: Vec<Effect> = self.contradicted(attempt).into_iter().collect();
        let may_follow = match self.pending.get(&attempt).and_then(Candidate::refusal) {
            None => true,
            // one that says that it refuses and activates does not make this member turn back
            Some(refusal) => is_activation && (refusal.by != from || broken(Mutant::FollowsTheRefuser)),
        };
        if may_follow {
            effects.extend(self.try_activate(attempt));
        }
        effects.extend(self.try_complete(attempt));
        effects
    }

    /// Tells once of a member that refused an attempt and confirmed it.
    fn contradicted(&mut self, attempt: AttemptId) -> Option<Effect> {
        let candidate = self.pending.get_mut(&attempt)?;
        let refusal = candidate.refusal()?;
        let contradiction = candidate.contradiction(&refusal)?;
        self.named.insert(refusal.by);
        Some(Effect::Contradiction(contradiction))
    }

    /// K9: activates an attempt that all confirmed, if this member has activated no other for its schemes: one
    /// attempt is on its way at a time, and those whose schemes are done are forgotten. One whose shares are being
    /// stored comes first: this member confirms it then, and never activates an earlier one.
    fn try_activate(&mut self, attempt: AttemptId) -> Vec<Effect> {
        let is_storing = self.running.as_ref().is_some_and(|running| running.step.is_storing());
        if self.activated.is_some() || is_storing {
            return Vec::new();
        }
        let Some(candidate) = self.pending.get_mut(&attempt) else { return Vec::new() };
        let Some(confirmations) = candidate.confirmations(&self.membership) else { return Vec::new() };
        candidate.revive();
        self.activated = Some(attempt);
        self.settled = None;
        let mut effects = Vec::new();
        if let Some(running) = self.running.take() {
            let reason = format!("attempt {attempt} is confirmed by all");
            effects.push(Effect::GivenUp { attempt: running.id, reason, culprits: Vec::new() });
            if running.is_open() {
                effects.extend(self.refuse_to_all(running.id));
            }
        }
        effects.push(Effect::StoreActivation { attempt, confirmations });
        if broken(Mutant::ActivatesBeforeStoring) {
            effects.extend(self.stored_activation(attempt));
        }
        effects
    }

    /// K10.
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
        (self.failures, self.start_at, self.last_failure) = (0, 0, None);
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
            Message::Confirm { terms, .. } => self.has_any(terms.schemes.iter().copied()),
            Message::Activate { attempt, .. } => !self.complete.is_empty() && !is_open(attempt),
            Message::Round1 { .. }
            | Message::Echo { .. }
            | Message::Round2 { .. }
            | Message::Abort { .. }
            | Message::Refuse(_)
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
