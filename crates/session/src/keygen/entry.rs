//! How an attempt begins: the first member starts it (K1), the others join (K2).

use countersign_types::{
    AttemptId, AttemptTerms, B256, Identifier, Scheme,
    mutant::{Mutant, broken},
};
use rand_core::{CryptoRng, RngCore};

use super::{ATTEMPT_MS, Effect, Joined, KeyGen, Message, attempt::Running};
use crate::{Millis, participant::MAX_SKEW_MS};

/// How long after its beginning an attempt may be joined, in milliseconds: as long as it may last, by a clock that
/// is as far off as it may be.
pub const JOIN_MS: Millis = ATTEMPT_MS + MAX_SKEW_MS;

/// Who starts attempts: the first member.
pub(super) const STARTER: u16 = 1;

impl KeyGen {
    /// The first member starts, at its time, once all are connected, nothing is activated, and its last confirmation
    /// binds it no longer.
    pub(super) fn may_start(&self) -> bool {
        self.membership.me.get() == STARTER
            && !self.is_done()
            && self.activated.is_none()
            && self.running.is_none()
            && self.may_go_on()
            && self.connected.len() + 1 == usize::from(self.membership.committee.size())
    }

    /// K1, K2: whether its last confirmation lets this member take part in a further attempt.
    fn may_go_on(&self) -> bool {
        self.is_free() || broken(Mutant::JoinsWhileConfirmed)
    }

    /// K1.
    pub(super) fn start(&mut self, now: Millis, rng: &mut (impl RngCore + CryptoRng)) -> Vec<Effect> {
        let mut entropy = B256::ZERO;
        rng.fill_bytes(entropy.as_mut_slice());
        let terms = AttemptTerms {
            epoch: self.membership.epoch,
            schemes: self.lacking(),
            number: now.max(self.floor.saturating_add(1)),
            starter: self.membership.me,
            entropy,
        };
        self.begin(terms, now, rng)
    }

    /// K2.
    pub(super) fn join(
        &mut self,
        from: Identifier,
        terms: AttemptTerms,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect> {
        let Some(id) = self.id_of(&terms) else { return Vec::new() };
        let fits = from.get() == STARTER && terms.starter == from;
        let is_known =
            self.pending.contains_key(&id) || self.running.as_ref().is_some_and(|own| own.id == id);
        if !fits || is_known {
            return Vec::new();
        }
        if self.activated.is_some() {
            return self.resume_with(from);
        }
        if let Some(reason) = self.refused_to_join(&terms, now) {
            return vec![Effect::Send { to: from, message: Message::abort(id, reason) }];
        }
        if self.running.as_ref().is_some_and(|running| running.step.is_storing()) {
            return Vec::new();
        }
        if !self.may_go_on() {
            // the starter may have refused what this member confirmed, and says so when it is asked
            let message =
                self.candidate().and_then(|(_, candidate)| candidate.confirmation(&self.membership));
            return message.map(|message| Effect::Send { to: from, message }).into_iter().collect();
        }
        let mut effects = Vec::new();
        if let Some(old) = self.running.take() {
            let reason = "the first member started another attempt".into();
            effects.push(Effect::GivenUp { attempt: old.id, reason, culprits: Vec::new() });
        }
        effects.extend(self.begin(terms, now, rng));
        effects
    }

    fn refused_to_join(&self, terms: &AttemptTerms, now: Millis) -> Option<String> {
        let lacking = self.lacking();
        if terms.schemes != lacking {
            let names: Vec<&str> = lacking.iter().map(|scheme| scheme.name()).collect();
            Some(format!(
                "the attempt is not for the schemes that this member lacks ({}): do all members run one version?",
                names.join(", ")
            ))
        } else if terms.number <= self.floor {
            Some("this member has given the attempt up, or has started since".into())
        } else if terms.number > now.saturating_add(MAX_SKEW_MS) || is_over(terms.number, now) {
            Some(format!("the attempt begins at {}, this member's clock says {now}", terms.number))
        } else {
            None
        }
    }

    /// The id of an attempt of this epoch. None before anything is hashed, if it cannot be one: a list of a frame's
    /// length is no attempt, and neither is one for nothing.
    pub(super) fn id_of(&self, terms: &AttemptTerms) -> Option<AttemptId> {
        let is_one = (1..=Scheme::ALL.len()).contains(&terms.schemes.len());
        (is_one && terms.epoch == self.membership.epoch).then(|| terms.id(self.membership.network))
    }

    fn begin(
        &mut self,
        terms: AttemptTerms,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect> {
        let number = terms.number;
        self.floor = number;
        let (attempt, ends) = (terms.id(self.membership.network), now.saturating_add(ATTEMPT_MS));
        match Running::begin(&self.membership, &self.identity, terms, ends, rng) {
            Ok(running) => {
                self.running = Some(running);
                let first = *self.first.get_or_insert(number);
                let released = self.candidate().and_then(|(_, candidate)| candidate.refusal());
                self.released = released.or(self.released);
                vec![Effect::StoreJoined(Joined { attempt, number, first, released: self.released })]
            }
            Err(error) => {
                self.schedule_next(now);
                let reason = error.to_string();
                vec![Effect::GivenUp { attempt, reason, culprits: Vec::new() }]
            }
        }
    }

    /// That this member takes part is stored: only now does it broadcast (K3).
    pub fn stored_joined(&mut self, attempt: AttemptId, now: Millis) -> Vec<Effect> {
        let Some(running) = self.running.as_mut().filter(|own| own.id == attempt && !own.is_open()) else {
            return Vec::new();
        };
        running.open();
        self.durable = self.durable.max(running.terms.number);
        let (terms, broadcast) = (running.terms.clone(), running.broadcast());
        let mut effects = Vec::new();
        if terms.starter == self.membership.me {
            effects.extend(self.to_all(&Message::Start { terms }));
        }
        effects.extend(self.to_all(&broadcast));
        effects.extend(self.in_attempt(attempt, now, |_, _| Ok(())));
        effects
    }

    /// Whether this member can never join an attempt of this number any more, whatever crashes.
    pub(super) fn never_joins(&self, number: u64, now: Millis) -> bool {
        number <= self.durable || is_over(number, now)
    }
}

fn is_over(number: u64, now: Millis) -> bool {
    number.saturating_add(JOIN_MS) < now
}
