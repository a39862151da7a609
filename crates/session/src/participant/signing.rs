//! From a package to this node's shares: the nonces are bound to it, the action is replayed over what it agrees on, and what the replay
//! gives is signed, or declined with its reason. Further attempts begin with fresh commitments.

#[cfg(countersign_mutants)]
use countersign_types::mutant::{Mutant, broken};
use countersign_types::{FailureKind, Identifier, Outcome, SessionId};
use rand_core::{CryptoRng, RngCore};

use super::{
    Effect, Given, LocalFailure, Participant, Run, attempt::Attempt, declined, judge, keys_of, session::Phase,
};
use crate::{
    Millis,
    message::{Decline, MAX_ATTEMPTS, Package, SignerPart, ToCoordinator},
};

impl<R> Participant<R> {
    /// Commits afresh, for a further attempt.
    pub(super) fn commit(
        &mut self,
        from: Identifier,
        id: SessionId,
        attempt: u32,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect<R>> {
        let Some(session) = self.sessions.get_mut(&(from, id)) else {
            return vec![declined(from, id, unknown_session())];
        };
        if !(2..=MAX_ATTEMPTS).contains(&attempt) {
            return Vec::new();
        }
        let Phase::Observed { observation, .. } = &session.phase else { return Vec::new() };
        let payloads = observation.commitments.len();
        if payloads == 0 {
            return Vec::new();
        }
        let commitments = match session.attempts.get(&attempt) {
            // asked again: the same commitments, while they are unused
            Some(Attempt::Committed { commitments, .. }) => commitments.clone(),
            Some(Attempt::Replaying(_) | Attempt::Answered { .. }) => return Vec::new(),
            None => match keys_of(&mut self.keys, &session.run.request) {
                Ok(keys) => session.start_attempt(attempt, payloads, &keys, &mut self.spare, rng),
                Err(_) => return Vec::new(),
            },
        };
        vec![Effect::Send {
            to: from,
            message: ToCoordinator::Committed { session: id, attempt, commitments },
        }]
    }

    /// Looks at a package, and begins the replay if this node can sign it; one that it has answered gets the same answer.
    pub(super) fn package(
        &mut self,
        from: Identifier,
        package: Package,
        send_verdict: bool,
    ) -> Vec<Effect<R>> {
        let id = package.session;
        let Some(session) = self.sessions.get_mut(&(from, id)) else {
            return vec![declined(from, id, unknown_session())];
        };
        let attempt = package.attempt;
        let declined = |reason: String| {
            let decline = Decline::Abstain { kind: FailureKind::Disagreement, reason };
            let message = ToCoordinator::Declined { session: id, attempt: Some(attempt), decline };
            vec![Effect::Send { to: from, message }]
        };
        // S1, first of all: what it costs to look at a package is bounded by its form
        if let Err(error) = package.validate(&self.membership.committee) {
            return declined(error.to_string());
        }
        let hash = package.hash(self.membership.network);
        match session.attempts.get(&package.attempt) {
            // S2: the answer was lost, or is not there yet
            Some(Attempt::Answered { package, answer }) if *package == hash => {
                return vec![Effect::Send { to: from, message: answer.as_ref().clone() }];
            }
            Some(Attempt::Replaying(replaying)) if replaying.package() == hash => return Vec::new(),
            Some(Attempt::Answered { .. } | Attempt::Replaying(_) | Attempt::Committed { .. }) | None => {}
        }
        #[cfg(countersign_mutants)]
        session.attempts.extend(session.spent.remove_entry(&attempt));
        match session.accept(&self.membership, package, hash, send_verdict, &mut self.seen) {
            Ok(effect) => vec![effect],
            Err(reason) => declined(reason),
        }
    }

    /// Takes the result of a replay, S10: where it allows, the nonces are consumed and the shares made.
    pub fn replayed(
        &mut self,
        run: &Run,
        attempt: u32,
        end: Result<Outcome, LocalFailure>,
        now: Millis,
    ) -> Vec<Effect<R>> {
        let Some(session) = self.sessions.get_mut(&(run.coordinator, run.session)) else { return Vec::new() };
        // taken out by value: whatever happens below, these nonces are gone
        let replaying = match session.attempts.remove(&attempt) {
            Some(Attempt::Replaying(replaying)) => replaying,
            Some(other @ (Attempt::Committed { .. } | Attempt::Answered { .. })) => {
                session.attempts.insert(attempt, other);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let package = replaying.package();
        #[cfg(countersign_mutants)]
        let unbound = broken(Mutant::UsesNoncesTwice).then(|| replaying.unbound(self.membership.me));
        let declined = |attempt, decline| ToCoordinator::Declined { session: run.session, attempt, decline };
        let mut effects = Vec::new();
        let abstain = |failure: countersign_types::Failure| Decline::Abstain {
            kind: failure.kind,
            reason: failure.detail,
        };
        let answer = match end {
            Ok(Outcome::Refused { reason }) => declined(None, Decline::Refused { reason }),
            Err(LocalFailure { kind, reason }) => declined(None, Decline::Abstain { kind, reason }),
            Ok(outcome @ Outcome::Allowed { .. }) => {
                // S11
                let keys = judge::still_valid(&run.request, now)
                    .and_then(|()| self.memory.bind(&run.request, &outcome.messages()))
                    .and_then(|()| keys_of(&mut self.keys, &run.request).map_err(judge::internal));
                // what goes wrong from here on lies in this package: another may do
                match keys.map(|keys| replaying.sign(&self.membership, &self.identity, &keys, &outcome)) {
                    Ok(Ok((signed, package))) => {
                        self.shares_made += signed.shares.len() as u64;
                        let part = SignerPart { vote: signed.vote, shares: signed.shares.clone() };
                        let run = run.clone();
                        effects.extend(session.recorded().map(|recorded| {
                            Effect::Keep(Box::new(Given { run, package, outcome, part, recorded }))
                        }));
                        ToCoordinator::Signed(signed)
                    }
                    Ok(Err(failure)) => declined(Some(attempt), abstain(failure)),
                    Err(failure) => declined(None, abstain(failure)),
                }
            }
        };
        session.attempts.insert(attempt, Attempt::Answered { package, answer: Box::new(answer.clone()) });
        #[cfg(countersign_mutants)]
        session.spent.extend(unbound.map(|unbound| (attempt, unbound)));
        effects.push(Effect::Send { to: run.coordinator, message: answer });
        effects
    }
}

fn unknown_session() -> Decline {
    Decline::Abstain {
        kind: FailureKind::Unavailable,
        reason: "the session is not open on this node: it restarted, or the session ended".into(),
    }
}
