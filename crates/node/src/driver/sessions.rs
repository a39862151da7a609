//! Signing: callers' requests in, sessions through, answers out.

use std::{collections::BTreeMap, sync::Arc};

use countersign_api::SignAnswer;
use countersign_session::{
    Millis,
    coordinator::{self, Coordinator, Setup, Signed},
    message::{ToCoordinator, ToParticipant},
    participant::{self, LocalFailure, Run},
};
use countersign_types::{
    Decision, Failure, FailureKind, Identifier, Outcome, Pin, ReadId, RequestDigest, SessionId, SessionTerms,
    ValidRequest,
    api::{SignResponse, SignedPayload, SignerVote},
};

use super::{Coordinating, Driver, Ready, Reply, requests::Posted};
use crate::runs::Recorded;

/// The most bytes of a receipt that goes with an answer.
const MAX_ATTACHED_BYTES: usize = 64 << 10;

impl Driver {
    pub(super) fn submit(&mut self, request: Arc<ValidRequest>, reply: Reply, now: Millis) {
        if let Err(failure) = self.parts.participant.admit_request(&request, now) {
            let _ = reply.send(Err(failure));
            return;
        }
        let (digest, action) = (request.digest(), request.request().key.policy.action);
        match self.requests.post(Arc::clone(&request), reply) {
            Posted::Begin => {
                if let Err(failure) = self.count(&request) {
                    return self.not_begun(digest, failure);
                }
                if let Some(pins) = self.parts.runs.prepare(action, digest) {
                    self.prepared(digest, pins, now);
                }
            }
            Posted::Joined => {}
            // else requests that cost no run would fill the memory of those that do
            Posted::TooMany => self.parts.participant.release(&digest),
        }
    }

    /// Counts a request that its callers may make now, once for each: what somebody else sends again in their name costs them
    /// nothing, however it ended.
    fn count(&mut self, request: &ValidRequest) -> Result<(), Failure> {
        let Some(rates) = &self.parts.caller_rates else { return Ok(()) };
        self.requests.count(request, |caller| {
            rates.count(caller).map_err(|early| {
                let detail = format!("caller {caller}: {early}");
                Failure::new(FailureKind::Busy, detail).with_retry_after(early.wait)
            })
        })
    }

    /// The action is ready and the chains are pinned: a session begins, once enough members are there.
    pub(super) fn prepared(&mut self, digest: RequestDigest, pins: Result<Vec<Pin>, Failure>, now: Millis) {
        match pins {
            Ok(pins) => self.begin(Ready { request: digest, pins, since: now }, now),
            Err(failure) => self.not_begun(digest, failure),
        }
    }

    /// Begins a session, if there are as many members as it needs; else it waits for them.
    pub(super) fn begin(&mut self, ready: Ready, now: Millis) {
        let Some(request) = self.requests.request(&ready.request) else { return };
        let membership = &self.parts.membership;
        let (me, threshold) = (membership.me, usize::from(membership.committee.threshold()));
        let order = self.order.of(me, self.equals().collect(), ready.request.as_bytes()[0], now);
        if order.len() < threshold {
            if let Err(Ready { request, .. }) = self.waiting.wait(ready, now) {
                self.not_begun(request, self.too_few_connected(order.len()));
            }
            return;
        }
        let digest = ready.request;
        match self.setup(request, ready, order, now) {
            Ok(setup) => {
                let (coordinator, effects) = Coordinator::start(setup, now);
                let session = coordinator.session();
                tracing::debug!(%session, request = %digest, "session proposed");
                let coordinating = Coordinating { coordinator, request: digest, words: BTreeMap::new() };
                self.coordinators.insert(session, coordinating);
                self.coordinator_effects(session, effects, now);
            }
            Err(failure) => self.not_begun(digest, failure),
        }
    }

    fn not_begun(&mut self, digest: RequestDigest, failure: Failure) {
        self.parts.participant.release(&digest);
        self.answered(digest, Err(failure));
    }

    fn setup(
        &mut self,
        request: Arc<ValidRequest>,
        Ready { mut pins, since, .. }: Ready,
        order: Vec<Identifier>,
        now: Millis,
    ) -> Result<Setup, Failure> {
        let membership = Arc::clone(&self.parts.membership);
        pins.sort();
        let terms = SessionTerms {
            request: request.digest(),
            epoch: membership.epoch,
            engine: membership.engine,
            time_ms: now,
            pins,
        };
        let public = self.parts.participant.derived_public(&request)?;
        let deadline = since.saturating_add(self.parts.deadline_ms).min(request.request().expires_at);
        let key = &request.request().key;
        let threshold = usize::from(membership.committee.threshold());
        let others = order.get(1..threshold).unwrap_or_default();
        let advance = self.stock.draw(key.policy.action, key.scheme, others);
        let sent = Arc::clone(&self.sent);
        Ok(Setup { membership, request, terms, public, order, advance, sent, deadline })
    }

    pub(super) fn participant_received(&mut self, from: Identifier, message: ToParticipant, now: Millis) {
        self.parts.wire_log.received(from, &message, now);
        let effects = self.parts.participant.receive(from, message, now, &mut rand_core::OsRng);
        self.participant_effects(effects);
    }

    pub(super) fn participant_effects(&mut self, effects: Vec<participant::Effect<Recorded>>) {
        let now = self.parts.clock.now();
        for effect in effects {
            match effect {
                participant::Effect::Send { to, message } => self.send_to_coordinator(to, message, now),
                participant::Effect::Observe(run) => self.parts.runs.live(run),
                participant::Effect::Replay { run, attempt, recorded, agreed } => {
                    match recorded.replayed(&agreed) {
                        Some(outcome) => self.replayed(&run, attempt, Ok(outcome.clone()), now),
                        None => self.parts.runs.replay(run, attempt, recorded, agreed),
                    }
                }
                participant::Effect::Keep(given) => self.parts.keeper.keep(given, now),
                participant::Effect::Closed { session, coordinator, signed } => {
                    let signed = signed.map(|signed| *signed);
                    let receipt = self.parts.keeper.close(coordinator, session, signed);
                    // one of an attempt that failed proves nothing, and a large one is fetched by those who want it
                    let shown = receipt.filter(|receipt| {
                        coordinator == self.parts.membership.me
                            && receipt.is_complete()
                            && receipt.held_bytes() <= MAX_ATTACHED_BYTES
                    });
                    self.receipts.extend(shown.map(|receipt| (session, receipt)));
                }
            }
        }
    }

    pub(super) fn replayed(
        &mut self,
        run: &Run,
        attempt: u32,
        end: Result<Outcome, LocalFailure>,
        now: Millis,
    ) {
        let effects = self.parts.participant.replayed(run, attempt, end, now);
        // before a share leaves, so that whoever sees a signature sees it counted
        self.count_shares();
        self.participant_effects(effects);
    }

    pub(super) fn coordinator_received(&mut self, from: Identifier, message: ToCoordinator, now: Millis) {
        self.parts.wire_log.received(from, &message, now);
        let session = message.session();
        let Some(coordinating) = self.coordinators.get_mut(&session) else { return };
        let effects = coordinating.coordinator.receive(from, message, now);
        self.coordinator_effects(session, effects, now);
    }

    pub(super) fn tick_coordinators(&mut self, now: Millis) {
        let due: Vec<SessionId> = self
            .coordinators
            .iter()
            .filter(|(_, coordinating)| coordinating.coordinator.next_timeout() <= now)
            .map(|(session, _)| *session)
            .collect();
        for session in due {
            let Some(coordinating) = self.coordinators.get_mut(&session) else { continue };
            let effects = coordinating.coordinator.tick(now);
            self.coordinator_effects(session, effects, now);
        }
    }

    pub(super) fn each_coordinator(
        &mut self,
        mut tell: impl FnMut(&mut Coordinator) -> Vec<coordinator::Effect>,
    ) {
        let now = self.parts.clock.now();
        let sessions: Vec<SessionId> = self.coordinators.keys().copied().collect();
        for session in sessions {
            let Some(coordinating) = self.coordinators.get_mut(&session) else { continue };
            let effects = tell(&mut coordinating.coordinator);
            self.coordinator_effects(session, effects, now);
        }
    }

    fn coordinator_effects(&mut self, session: SessionId, effects: Vec<coordinator::Effect>, now: Millis) {
        for effect in effects {
            match effect {
                coordinator::Effect::Send { to, message } => self.send_to_participant(to, message, now),
                coordinator::Effect::Finished(result) => self.finished(session, *result, now),
            }
        }
    }

    fn finished(&mut self, session: SessionId, result: Result<Signed, Failure>, now: Millis) {
        let Some(Coordinating { request: digest, words, coordinator }) = self.coordinators.remove(&session)
        else {
            return;
        };
        self.order.learn(&self.parts.membership, &result, coordinator.late(), now);
        let nodes = match &result {
            Ok(signed) => {
                let rounds = if signed.fallback.is_none() { "one" } else { "more" };
                metrics::counter!("countersign_sessions_signed_total", "rounds" => rounds).increment(1);
                if let Some(why) = signed.fallback {
                    metrics::counter!("countersign_further_rounds_total", "why" => why.name()).increment(1);
                }
                &signed.nodes
            }
            Err(failure) => &failure.nodes,
        };
        for node in nodes {
            if node.decision == Decision::Misbehaved {
                tracing::warn!(%session, peer = node.peer_id, reason = node.reason, "a member misbehaved");
            }
        }
        let receipt = self.receipts.remove(&session);
        let answer = match result {
            Ok(signed) => self.response(digest, signed).map(|response| SignAnswer { response, receipt }),
            Err(failure) => Err(in_words(failure, &words)),
        };
        self.answered(digest, answer);
    }

    fn answered(&mut self, digest: RequestDigest, answer: Result<SignAnswer, Failure>) {
        let result = answer.as_ref().map_or_else(|failure| failure.kind.name(), |_| "signed");
        metrics::counter!("countersign_requests_total", "result" => result).increment(1);
        match &answer {
            Ok(SignAnswer { response, .. }) => {
                tracing::info!(session = %response.session, request = %digest, "signed")
            }
            Err(failure) => {
                tracing::info!(request = %digest, kind = result, detail = failure.detail, "not signed")
            }
        }
        self.requests.finish(digest, answer);
    }

    fn response(&mut self, digest: RequestDigest, signed: Signed) -> Result<SignResponse, Failure> {
        let internal = |detail: &str| Failure::new(FailureKind::Internal, detail);
        let request = self.requests.request(&digest).ok_or_else(|| internal("the request is gone"))?;
        let Outcome::Allowed { payloads, response } = signed.outcome else {
            return Err(internal("signed without a decision"));
        };
        let public_key = self.parts.participant.derived_public(&request)?.public_key();
        let key = &request.request().key;
        let signatures = payloads
            .into_iter()
            .zip(signed.signatures)
            .map(|((payload, message), signature)| SignedPayload {
                payload: payload.kind().name().into(),
                content: payload.content().to_vec().into(),
                message,
                signature,
            })
            .collect();
        let votes = signed
            .signers
            .into_iter()
            .map(|(id, part)| SignerVote { signer: id.get(), vote: part.vote })
            .collect();
        Ok(SignResponse {
            request: digest,
            session: signed.session,
            epoch: signed.terms.epoch,
            engine: signed.terms.engine,
            time_ms: signed.terms.time_ms,
            pins: signed.terms.pins,
            action_id: key.policy.action,
            key_id: request.key_id(),
            scheme: key.scheme,
            public_key,
            signatures,
            response,
            nodes: signed.nodes,
            votes,
        })
    }
}

/// Says what was read where the nodes disagree, if this node's own run read it too.
fn in_words(mut failure: Failure, words: &BTreeMap<ReadId, String>) -> Failure {
    if let Some(disagreement) = &mut failure.disagreement {
        let reads = disagreement.saw.iter().filter_map(|saw| saw.read);
        disagreement.what = reads.into_iter().find_map(|read| words.get(&read).cloned());
        if let Some(what) = &disagreement.what {
            failure.detail = format!("{}: {what}", failure.detail);
        }
    }
    failure
}
