//! From a proposal to this node's answer: whether the session is opened, the live run, and what this node then says that it has read
//! and commits to. Where a package came with the proposal and fits what was read, that is signed at once.

use std::{collections::BTreeMap, sync::Arc};

use countersign_types::{Context, FailureKind, Identifier, Outcome, SessionId, SessionTerms, ValidRequest};
use rand_core::{CryptoRng, RngCore};

use super::{
    Effect, LiveRun, LocalFailure, MAX_RECORDED_BYTES, Participant, Run, SESSION_MS,
    attempt::Attempt,
    declined, keys_of,
    session::{Phase, Session, fitting},
};
use crate::{
    Millis,
    message::{Decline, Eager, Observation, Proposal, Provisional},
};

impl<R> Participant<R> {
    /// Judges what a coordinator proposes, and begins the live run; a session that is open gets the same answer again.
    pub(super) fn proposed(&mut self, from: Identifier, proposal: Proposal, now: Millis) -> Vec<Effect<R>> {
        let id = proposal.terms.id(self.membership.network);
        // P1
        if let Some(open) = self.sessions.get(&(from, id)) {
            return open.answer(id);
        }
        let decline = |failure: countersign_types::Failure| {
            vec![declined(from, id, Decline::Abstain { kind: failure.kind, reason: failure.detail })]
        };
        let terms = proposal.terms;
        // P2 to P7
        let judged = self
            .check_terms(from, &terms, now)
            .and_then(|()| {
                if from == self.membership.me {
                    self.authenticated.own(&terms.request, proposal.request)
                } else {
                    self.authenticated.brought(from, &terms.request, proposal.request, now)
                }
            })
            .and_then(|request| {
                self.admit_brought(&request, from, now)?;
                self.open(from, id, &terms, request, proposal.eager)
            });
        match judged {
            Ok(effect) => vec![effect],
            Err(failure) => decline(failure),
        }
    }

    fn open(
        &mut self,
        from: Identifier,
        id: SessionId,
        terms: &SessionTerms,
        request: Arc<ValidRequest>,
        eager: Option<Box<Eager>>,
    ) -> Result<Effect<R>, countersign_types::Failure> {
        let keys = self.key_pair(&request)?;
        self.memory.open(terms.request, from, terms.time_ms)?;
        let context = Context::new(&request, terms, keys.public.public_key());
        // one that nobody could use is as good as none
        let eager = eager.map(|eager| *eager).filter(|eager| eager.is_bounded(&self.membership.committee));
        let ends = request.request().expires_at.min(terms.time_ms.saturating_add(SESSION_MS));
        let run = Run { session: id, coordinator: from, request, context: Arc::new(context) };
        let effect = Effect::Observe(run.clone());
        let session = Session {
            run,
            ends,
            phase: Phase::Observing,
            attempts: BTreeMap::new(),
            eager,
            one_round: false,
            agreed: None,
            verified: BTreeMap::new(),
            #[cfg(countersign_mutants)]
            spent: BTreeMap::new(),
        };
        self.sessions.insert((from, id), session);
        Ok(effect)
    }

    /// Takes the result of a live run. A session that is gone meanwhile is nobody's loss.
    pub fn observed(
        &mut self,
        run: &Run,
        live: LiveRun<R>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect<R>> {
        let id = run.session;
        let held = self.recorded_bytes(run.coordinator);
        let Some(session) = self.sessions.get_mut(&(run.coordinator, id)) else { return Vec::new() };
        if !matches!(session.phase, Phase::Observing) {
            return Vec::new();
        }
        let eager = session.eager.take();
        // P9
        let most = MAX_RECORDED_BYTES / usize::from(self.membership.committee.size());
        if held > 0 && held.saturating_add(live.recorded_bytes) > most {
            let reason = format!(
                "what this coordinator's open sessions read takes {held} of {most} bytes, and this one's {} more: \
                 try again later",
                live.recorded_bytes
            );
            session.phase = Phase::Declined(Decline::Abstain { kind: FailureKind::Busy, reason });
            return session.answer(id);
        }
        let (decision, payloads) = match live.end {
            Ok(Outcome::Allowed { payloads, .. }) => (Provisional::Allow, payloads.len()),
            Ok(Outcome::Refused { reason }) => (Provisional::Refuse { reason }, 0),
            Err(LocalFailure { kind, reason }) => {
                session.phase = Phase::Declined(Decline::Abstain { kind, reason });
                return session.answer(id);
            }
        };
        // P10
        let scheme = session.run.request.request().key.scheme;
        let at_once = eager.filter(|_| payloads > 0).and_then(|eager| {
            let package = fitting(eager, id, &live.record, &self.membership)?;
            let commitments = package.signers.get(&self.membership.me).cloned()?;
            let enough = commitments.len() == payloads;
            let nonces =
                if enough { self.advance.take(run.coordinator, scheme, &commitments) } else { None }?;
            Some((package, nonces, commitments))
        });
        let (package, commitments) = match (at_once, keys_of(&mut self.keys, &session.run.request)) {
            (Some((package, nonces, commitments)), _) => {
                session.attempts.insert(1, Attempt::Committed { nonces, commitments: commitments.clone() });
                (Some(package), commitments)
            }
            (None, Ok(keys)) if payloads > 0 => {
                (None, session.start_attempt(1, payloads, &keys, &mut self.spare, rng))
            }
            (None, Ok(_)) => (None, Vec::new()),
            (None, Err(error)) => {
                let reason = error.to_string();
                session.phase = Phase::Declined(Decline::Abstain { kind: FailureKind::Internal, reason });
                return session.answer(id);
            }
        };
        let signature = Observation::sign(&live.record, self.membership.network, id, &self.identity);
        let observation =
            Box::new(Observation { session: id, record: live.record, signature, decision, commitments });
        session.phase = Phase::Observed {
            observation,
            recorded: Arc::new(live.recorded),
            recorded_bytes: live.recorded_bytes,
        };
        if let Some(package) = package {
            session.one_round = true;
            return self.package(run.coordinator, package, false);
        }
        session.answer(id)
    }

    /// What the live runs of a coordinator's open sessions left here, in bytes.
    fn recorded_bytes(&self, coordinator: Identifier) -> usize {
        self.sessions_of(coordinator)
            .map(|session| match &session.phase {
                Phase::Observed { recorded_bytes, .. } => *recorded_bytes,
                Phase::Observing | Phase::Declined(_) => 0,
            })
            .sum()
    }
}
