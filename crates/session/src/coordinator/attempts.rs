//! One attempt after the other: who is asked for commitments, how long an attempt may take, what the next one keeps of it, and when it
//! is given up.

use std::collections::{BTreeMap, BTreeSet};

use countersign_agreement::{AgreedRecord, agree};
use countersign_threshold::Commitments;
use countersign_types::{Identifier, NodeSignature, Record};

use super::{Coordinator, Effect, Fallback, Phase, answer};
use crate::{
    Millis,
    message::{MAX_ATTEMPTS, ToParticipant},
};

/// How long signers have for their shares, and before them for commitments in further attempts, before others take their place. It
/// grows with each attempt, up to a third of what is left until the deadline. Milliseconds.
pub const SIGN_MS: Millis = 2_000;

/// What every further attempt keeps.
pub(super) struct Kept {
    pub(super) records: BTreeMap<Identifier, Record>,
    pub(super) signatures: BTreeMap<Identifier, NodeSignature>,
    pub(super) agreed: AgreedRecord,
    pub(super) payloads: usize,
}

impl Kept {
    /// Of the records of a first attempt's signers, with their signatures where they need one.
    pub(super) fn new(
        records: BTreeMap<Identifier, Record>,
        signatures: BTreeMap<Identifier, NodeSignature>,
        payloads: usize,
    ) -> Self {
        let agreed = agree(&records.iter().map(|(id, record)| (*id, record)).collect());
        Self { records, signatures, agreed, payloads }
    }
}

impl Coordinator {
    /// Begins an attempt: the first with the commitments that came with the records, every further one asks for fresh ones.
    pub(super) fn start_attempt(&mut self, signers: BTreeSet<Identifier>, now: Millis) -> Vec<Effect> {
        // C3, C7
        self.attempt += 1;
        if self.attempt > MAX_ATTEMPTS {
            return self.finish(Err(answer::exhausted(self)));
        }
        let committee = &self.setup.membership.committee;
        let liars = usize::from(committee.size().saturating_sub(committee.threshold()));
        let may_fail = liars.saturating_sub(self.standings.costly());
        let left = self.setup.deadline.saturating_sub(now);
        let ends = now.saturating_add(attempt_ms(self.attempt, left, may_fail));
        if self.attempt == 1 {
            let commitments = self.standings.first_commitments(&signers);
            return self.sign(commitments, ends);
        }
        let effects = signers.iter().map(|to| self.ask_to_commit(*to)).collect();
        self.phase = Phase::Committing { signers, commitments: BTreeMap::new(), ends };
        effects
    }

    pub(super) fn ask_to_commit(&self, to: Identifier) -> Effect {
        let message = ToParticipant::Commit { session: self.id, attempt: self.attempt };
        Effect::Send { to, message }
    }

    pub(super) fn committed(
        &mut self,
        from: Identifier,
        attempt: u32,
        fresh: Vec<Commitments>,
    ) -> Vec<Effect> {
        let expected = self.standings.payloads(from);
        let Phase::Committing { signers, commitments, ends } = &mut self.phase else { return Vec::new() };
        if attempt != self.attempt || !signers.contains(&from) {
            return Vec::new();
        }
        if Some(fresh.len()) != expected {
            self.standings.misbehaved(from, "it committed to another number of payloads than before");
            self.give_attempt_up(Fallback::Misbehaved);
            return Vec::new();
        }
        commitments.insert(from, fresh);
        if commitments.len() < signers.len() {
            return Vec::new();
        }
        let (commitments, ends) = (std::mem::take(commitments), *ends);
        self.sign(commitments, ends)
    }

    /// Whether the current attempt cannot go on without this member.
    pub(super) fn is_awaited(&self, member: Identifier) -> bool {
        match &self.phase {
            Phase::Observing | Phase::Done => false,
            Phase::Committing { signers, .. } => signers.contains(&member),
            Phase::Signing { signing, .. } => signing.missing().contains(&member),
        }
    }

    /// Gives the current attempt up; [`Coordinator::advance`] chooses the next signers.
    pub(super) fn give_attempt_up(&mut self, why: Fallback) {
        self.fell_back(why);
        self.phase = Phase::Observing;
    }

    /// Gives the current attempt up and asks everybody who was held back.
    pub(super) fn next_attempt(&mut self, why: Fallback) -> Vec<Effect> {
        self.give_attempt_up(why);
        self.propose(usize::MAX)
    }
}

/// How long an attempt may take where so much time is left, and so many members may lie that have cost no attempt yet. Each of them can
/// let one attempt wait to its end: there is time for another after that, and after all of them.
fn attempt_ms(attempt: u32, left: Millis, may_fail: usize) -> Millis {
    let parts = Millis::try_from(may_fail).unwrap_or(Millis::MAX).saturating_add(1).max(3);
    SIGN_MS.saturating_mul(attempt.into()).min((left / parts).max(SIGN_MS))
}

#[cfg(test)]
mod tests {
    use countersign_types::MAX_MEMBERS;

    use super::*;

    /// In the largest committee, all that may lie let an attempt wait to its end each, after one of one round that failed.
    #[test]
    fn however_many_attempts_time_out_there_is_time_for_another() {
        for liars in 1..=(MAX_MEMBERS - 1) / 2 {
            let mut left = 28_250;
            for spent in 0..liars {
                let attempt = u32::try_from(spent).expect("few") + 2;
                let ms = attempt_ms(attempt, left, liars - spent);
                assert!(ms >= SIGN_MS);
                left -= ms;
            }
            assert!(left >= SIGN_MS, "{liars} lie: {left} ms are left");
        }
    }
}
