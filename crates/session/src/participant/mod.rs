//! What a node does with a proposal, a package and a replay: the only code that makes shares.
//!
//! A share leaves [`Participant::replayed`] only, and only for the messages of this node's own replay, in
//! a session that it judged itself, under nonces that are consumed there. What a coordinator says decides
//! nothing but which records are agreed and who signs.
//!
//! Messages may be lost, doubled or late: a repeated proposal or package is answered with the same
//! answer, never with new commitments or another share.

mod advance;
mod attempt;
mod authenticated;
mod judge;
mod keys;
mod memory;
mod rate;
mod seen;
mod session;
mod sizes;
mod spare;

use std::{collections::BTreeMap, sync::Arc};

use countersign_agreement::AgreedRecord;
use countersign_threshold::{DerivedPublic, RootShare};
#[cfg(countersign_mutants)]
use countersign_types::mutant::{Mutant, broken};
use countersign_types::{
    B256, Context, FailureKind, Identifier, NodeKey, Outcome, Record, Scheme, SessionId, SessionTerms,
    ValidRequest,
};
use rand_core::{CryptoRng, RngCore};

use crate::{
    Membership, Millis,
    message::{
        Completion, Decline, Eager, MAX_ATTEMPTS, Observation, Package, Proposal, Provisional, SignerPart,
        ToCoordinator, ToParticipant,
    },
};
use advance::Advance;
pub use advance::{MAX_ADVANCE, MAX_BATCH};
use attempt::Attempt;
use authenticated::Authenticated;
pub use authenticated::MAX_KEPT;
pub use judge::authenticate;
use keys::{KeyCache, KeyPair};
pub use keys::{KeyError, MAX_KEYS};
pub use memory::MAX_REQUESTS;
use memory::RequestMemory;
pub use seen::MAX_SEEN;
use seen::Seen;
use session::{Phase, Session, fitting};
pub use sizes::Sizes;
pub use spare::MAX_SPARE;
use spare::Spare;

/// The most sessions that one coordinator may have open here.
pub const MAX_SESSIONS_PER_COORDINATOR: usize = 256;
/// The most bytes that live runs leave here for replays, in all; each coordinator's sessions have an equal part. A session
/// is taken where its coordinator has none that left anything, however much that is.
pub const MAX_RECORDED_BYTES: usize = 48 << 20;
/// How long a session lives here, in milliseconds: the longest deadline and some slack.
pub const SESSION_MS: Millis = 40_000;
/// How far a session's time may lie from this node's clock, in milliseconds.
pub const MAX_SKEW_MS: Millis = 30_000;

/// One node's part in all signing sessions. `R` is what its driver needs to replay a run.
pub struct Participant<R> {
    membership: Arc<Membership>,
    identity: Arc<NodeKey>,
    boot: Millis,
    keys: KeyCache,
    memory: RequestMemory,
    authenticated: Authenticated,
    advance: Advance,
    spare: Spare,
    seen: Seen,
    /// By coordinator too: two that propose the same terms do not get in each other's way, and nobody can open
    /// another's session first.
    sessions: BTreeMap<(Identifier, SessionId), Session<R>>,
    shares_made: u64,
}

/// What the driver is to do, in this order.
#[derive(Debug)]
pub enum Effect<R> {
    /// Send to a coordinator; to oneself too.
    Send {
        /// The coordinator.
        to: Identifier,
        /// The message.
        message: ToCoordinator,
    },
    /// Check the pins, run the action live in record mode, and report with [`Participant::observed`].
    Observe(Run),
    /// Replay the run over the agreed reads, and report with [`Participant::replayed`]: identical ones over the own
    /// bytes, the others over the agreed values.
    Replay {
        /// What runs.
        run: Run,
        /// The attempt to report.
        attempt: u32,
        /// What the live run left.
        recorded: Arc<R>,
        /// What was agreed, read by read; consuming another one, or one beyond the end, ends the replay.
        agreed: Arc<AgreedRecord>,
    },
    /// This node gives shares: keep why.
    Keep(Box<Given<R>>),
    /// The coordinator has closed a session in which this node gave shares.
    Closed {
        /// The session.
        session: SessionId,
        /// Its coordinator.
        coordinator: Identifier,
        /// What makes a receipt of what was kept, if the coordinator says that the session gave signatures.
        signed: Option<Box<Completion>>,
    },
}

/// What stands behind a node's shares: all of a receipt but the other signers' parts.
#[derive(Debug)]
pub struct Given<R> {
    /// What was run.
    pub run: Run,
    /// What this node was asked to sign.
    pub package: Package,
    /// What its replay gave.
    pub outcome: Outcome,
    /// Its vote and shares.
    pub part: SignerPart,
    /// What its live run left.
    pub recorded: Arc<R>,
}

/// One run of an action in a session, with which its results are reported.
#[derive(Debug, Clone)]
pub struct Run {
    /// The session.
    pub session: SessionId,
    /// Who coordinates it.
    pub coordinator: Identifier,
    /// The request.
    pub request: Arc<ValidRequest>,
    /// What the action sees.
    pub context: Arc<Context>,
}

/// What the driver reports of a live run.
#[derive(Debug)]
pub struct LiveRun<R> {
    /// The outcome, or why there is none on this node.
    pub end: Result<Outcome, LocalFailure>,
    /// What it read.
    pub record: Record,
    /// What a replay needs.
    pub recorded: R,
    /// How many bytes that takes.
    pub recorded_bytes: usize,
}

/// Why a run gave no outcome here. It says nothing about the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFailure {
    /// What kind of obstacle.
    pub kind: FailureKind,
    /// Why, for the caller.
    pub reason: String,
}

impl<R> Participant<R> {
    /// A participant without keys, since `boot`: requests issued before are refused, because what was
    /// known of them is gone.
    pub fn new(membership: Arc<Membership>, identity: Arc<NodeKey>, boot: Millis) -> Self {
        let advance = Advance::default();
        #[cfg(countersign_mutants)]
        let advance = advance.with_survivors(membership.me);
        Self {
            membership,
            identity,
            boot,
            keys: KeyCache::default(),
            memory: RequestMemory::default(),
            authenticated: Authenticated::default(),
            advance,
            spare: Spare::default(),
            seen: Seen::default(),
            sessions: BTreeMap::new(),
            shares_made: 0,
        }
    }

    /// Gives this node its share of a scheme's root key.
    pub fn add_root(&mut self, share: RootShare) -> Result<(), KeyError> {
        self.keys.add_root(share)
    }

    /// The schemes that this node can sign with.
    pub fn schemes(&self) -> impl Iterator<Item = Scheme> + '_ {
        self.keys.schemes()
    }

    /// How many signature shares this node has made since it started.
    pub fn shares_made(&self) -> u64 {
        self.shares_made
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Handles a coordinator's message.
    pub fn receive(
        &mut self,
        from: Identifier,
        message: ToParticipant,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect<R>> {
        match message {
            ToParticipant::Propose(proposal) => self.proposed(from, *proposal, now),
            ToParticipant::Commit { session, attempt } => self.commit(from, session, attempt, rng),
            ToParticipant::Sign { package, send_verdict } => self.package(from, *package, send_verdict),
            ToParticipant::Close { session, signed } => self.close(from, session, signed),
        }
    }

    fn close(&mut self, from: Identifier, id: SessionId, signed: Option<Box<Completion>>) -> Vec<Effect<R>> {
        let Some(session) = self.sessions.remove(&(from, id)) else { return Vec::new() };
        if !session.gave_shares() {
            return Vec::new();
        }
        let signed = signed.filter(|signed| signed.is_bounded(&self.membership.committee));
        vec![Effect::Closed { session: id, coordinator: from, signed }]
    }

    fn proposed(&mut self, from: Identifier, proposal: Proposal, now: Millis) -> Vec<Effect<R>> {
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

    /// Wipes every nonce that is not spent, and gives up the sessions that it was for: this process may have stood still, and
    /// its memory have been copied meanwhile. Coordinators hear of it, and ask others.
    pub fn purge(&mut self) -> Vec<Effect<R>> {
        self.advance.clear();
        self.spare.clear();
        let open = std::mem::take(&mut self.sessions);
        let gone = || Decline::Abstain {
            kind: FailureKind::Unavailable,
            reason: "this node stood still for a while and has wiped its nonces".into(),
        };
        open.iter()
            .filter(|(_, session)| session.awaits())
            .map(|((coordinator, id), _)| declined(*coordinator, *id, gone()))
            .collect()
    }

    fn commit(
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

    fn package(&mut self, from: Identifier, package: Package, send_verdict: bool) -> Vec<Effect<R>> {
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

    /// The public side of a request's key, for a coordinator.
    pub fn derived_public(
        &mut self,
        request: &ValidRequest,
    ) -> Result<DerivedPublic, countersign_types::Failure> {
        Ok(self.key_pair(request)?.public.clone())
    }

    /// Forgets sessions and requests that are over.
    pub fn tick(&mut self, now: Millis) {
        self.sessions.retain(|_, session| session.ends > now);
        self.memory.forget(now);
        self.spare.forget(now);
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

    fn sessions_of(&self, coordinator: Identifier) -> impl Iterator<Item = &Session<R>> {
        let (first, last) = (SessionId(B256::ZERO), SessionId(B256::repeat_byte(0xff)));
        self.sessions.range((coordinator, first)..=(coordinator, last)).map(|(_, session)| session)
    }

    fn key_pair(&mut self, request: &ValidRequest) -> Result<Arc<KeyPair>, countersign_types::Failure> {
        keys_of(&mut self.keys, request).map_err(judge::no_key)
    }
}

fn keys_of(keys: &mut KeyCache, request: &ValidRequest) -> Result<Arc<KeyPair>, KeyError> {
    keys.get(request.request().key.scheme, request.key_id())
}

fn declined<R>(to: Identifier, session: SessionId, decline: Decline) -> Effect<R> {
    Effect::Send { to, message: ToCoordinator::Declined { session, attempt: None, decline } }
}

fn unknown_session() -> Decline {
    Decline::Abstain {
        kind: FailureKind::Unavailable,
        reason: "the session is not open on this node: it restarted, or the session ended".into(),
    }
}
