//! What collects observations and shares for one request, aggregates, and explains a failure.
//!
//! The coordinator learns no secret and can forge nothing. It asks a threshold of members first and the
//! others as soon as one refuses, abstains, misbehaves, is gone or slow. A further attempt keeps the
//! agreed record, so that the bytes stay the same, and changes signers and nonces only.

mod answer;
mod eager;
mod lateness;
mod selection;
mod signing;
mod standing;
mod watched;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_agreement::{AgreedRecord, agree};
use countersign_threshold::{Commitments, DerivedPublic};
use countersign_types::{
    Failure, FailureKind, Identifier, MAX_PAYLOADS, NodeDecision, NodeSignature, Outcome, OutcomeHash,
    Record, SessionId, SessionTerms, Signature, ValidRequest,
    mutant::{Mutant, broken},
    outcome::MAX_REASON_BYTES,
};

use crate::{
    Membership, Millis, Sent,
    message::{
        Completion, Decline, Eager, MAX_ATTEMPTS, Observation, Proposal, Provisional, SignerPart,
        ToCoordinator, ToParticipant,
    },
};
pub use eager::Fallback;
use eager::OneRound;
use lateness::Lateness;
use selection::Prospects;
use signing::Signing;
use standing::Standings;
pub use watched::{Awaited, Sizes};

/// After this long without enough answers, members that were held back are asked too. Milliseconds.
pub const HEDGE_MS: Millis = 300;
/// How long signers have for their shares, and before them for commitments in further attempts, before others take their place. It
/// grows with each attempt, up to a third of what is left until the deadline. Milliseconds.
pub const SIGN_MS: Millis = 2_000;
/// How often an unanswered message is sent again. Milliseconds.
pub const RESEND_MS: Millis = 1_000;
/// How long a failure waits for the reasons of members that were asked and have not answered.
pub const GRACE_MS: Millis = 500;

/// What a session starts from.
pub struct Setup {
    /// The coordinating node's place in the network.
    pub membership: Arc<Membership>,
    /// The request.
    pub request: Arc<ValidRequest>,
    /// The terms that this node fixed.
    pub terms: SessionTerms,
    /// The key that is asked to sign.
    pub public: DerivedPublic,
    /// The members that can be reached, in the order in which to ask them.
    pub order: Vec<Identifier>,
    /// Commitments that other members handed out in advance: with those of a threshold, this node included, one round is
    /// tried first. Empty where nothing speaks for it.
    pub advance: BTreeMap<Identifier, Vec<Commitments>>,
    /// What stood in this node's packages, of all its sessions since it started.
    pub sent: Arc<Sent>,
    /// When the session ends, with or without a signature.
    pub deadline: Millis,
}

/// One request's coordinator.
pub struct Coordinator {
    setup: Setup,
    id: SessionId,
    standings: Standings,
    phase: Phase,
    /// Where the attempt at one round stands.
    one_round: OneRound,
    /// The records behind the agreed record, from the first attempt on.
    kept: Option<Kept>,
    attempt: u32,
    /// Signer sets that failed without a culprit.
    tried: BTreeSet<BTreeSet<Identifier>>,
    /// What each member voted for over the kept record.
    voted: BTreeMap<Identifier, OutcomeHash>,
    lateness: Lateness,
    /// What the last search for signers found, while what it depends on is the same.
    searched: Option<(Searched, Prospects)>,
    hedge_at: Millis,
    resend_at: Millis,
    grace_ends: Option<Millis>,
}

/// What a search for signers depends on: the version of the standings, the sets tried, whether a record is kept.
type Searched = (u64, usize, bool);

/// What every further attempt keeps.
struct Kept {
    records: BTreeMap<Identifier, Record>,
    signatures: BTreeMap<Identifier, NodeSignature>,
    agreed: AgreedRecord,
    payloads: usize,
}

impl Kept {
    /// Of the records of a first attempt's signers, with their signatures where they need one.
    fn new(
        records: BTreeMap<Identifier, Record>,
        signatures: BTreeMap<Identifier, NodeSignature>,
        payloads: usize,
    ) -> Self {
        let agreed = agree(&records.iter().map(|(id, record)| (*id, record)).collect());
        Self { records, signatures, agreed, payloads }
    }
}

enum Phase {
    Observing,
    Committing {
        signers: BTreeSet<Identifier>,
        commitments: BTreeMap<Identifier, Vec<Commitments>>,
        /// When the attempt does: the time for shares is what commitments leave of it.
        ends: Millis,
    },
    Signing {
        signing: Box<Signing>,
        ends: Millis,
    },
    Done,
}

/// What the driver is to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send to a participant; to oneself too.
    Send {
        /// The participant.
        to: Identifier,
        /// The message.
        message: ToParticipant,
    },
    /// The session is over.
    Finished(Box<Result<Signed, Failure>>),
}

/// What a session that succeeds gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The session.
    pub session: SessionId,
    /// The terms.
    pub terms: SessionTerms,
    /// The outcome that all signers voted for.
    pub outcome: Outcome,
    /// One for each payload.
    pub signatures: Vec<Signature>,
    /// What each signer gave.
    pub signers: BTreeMap<Identifier, SignerPart>,
    /// What every member that was asked said.
    pub nodes: Vec<NodeDecision>,
    /// How many attempts it took.
    pub attempts: u32,
    /// Why it took more than one round; none: it did not.
    pub fallback: Option<Fallback>,
}

impl Coordinator {
    /// Opens a session and asks a threshold of members.
    pub fn start(setup: Setup, now: Millis) -> (Self, Vec<Effect>) {
        let id = setup.terms.id(setup.membership.network);
        let standings = Standings::new(&setup.membership.committee, &setup.order);
        let mut coordinator = Self {
            id,
            standings,
            phase: Phase::Observing,
            one_round: OneRound::No(Fallback::NotTried),
            kept: None,
            attempt: 0,
            tried: BTreeSet::new(),
            voted: BTreeMap::new(),
            lateness: Lateness::default(),
            searched: None,
            hedge_at: now.saturating_add(HEDGE_MS),
            resend_at: now.saturating_add(RESEND_MS),
            grace_ends: None,
            setup,
        };
        let mut effects = coordinator.propose_first();
        let me = coordinator.setup.membership.me;
        coordinator.lateness.begin(me, &coordinator.standings);
        effects.extend(coordinator.advance(now));
        (coordinator, effects)
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.id
    }

    /// Whether the session is over.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// The members that this session waited for in vain, or longer than for others that were asked later.
    pub fn late(&self) -> BTreeSet<Identifier> {
        self.lateness.late(&self.standings)
    }

    /// When [`Coordinator::tick`] is next due.
    pub fn next_timeout(&self) -> Millis {
        let phase_ends = match &self.phase {
            Phase::Observing | Phase::Done => Millis::MAX,
            Phase::Committing { ends, .. } | Phase::Signing { ends, .. } => *ends,
        };
        [
            self.hedge_at,
            self.resend_at,
            phase_ends,
            self.grace_ends.unwrap_or(Millis::MAX),
            self.setup.deadline,
        ]
        .into_iter()
        .min()
        .unwrap_or(self.setup.deadline)
    }

    /// Handles a participant's message.
    pub fn receive(&mut self, from: Identifier, message: ToCoordinator, now: Millis) -> Vec<Effect> {
        let counts = self.standings.was_asked(from) && !self.standings.comes_and_goes(from);
        if self.is_done() || message.session() != self.id || !counts {
            return Vec::new();
        }
        let mut effects = match message {
            ToCoordinator::Observed(observation) => self.observed(from, *observation, now),
            ToCoordinator::Declined { attempt: None, decline, .. } => self.declined(from, decline),
            ToCoordinator::Declined { attempt: Some(attempt), decline, .. } => {
                self.package_declined(from, attempt, &decline)
            }
            ToCoordinator::Committed { attempt, commitments, .. } => {
                self.committed(from, attempt, commitments)
            }
            ToCoordinator::Signed(signed) => self.signed(from, *signed),
        };
        effects.extend(self.advance(now));
        effects
    }

    /// A member's connection is gone: others take its place.
    pub fn disconnected(&mut self, member: Identifier, now: Millis) -> Vec<Effect> {
        if self.is_done() {
            return Vec::new();
        }
        self.standings.disconnected(member);
        if self.is_awaited(member) {
            // C7
            self.standings.mark_lost(member);
            self.give_attempt_up(Fallback::Declined);
        }
        let mut effects = self.propose(usize::MAX);
        effects.extend(self.advance(now));
        effects
    }

    /// A member can be reached (again).
    pub fn connected(&mut self, member: Identifier, now: Millis) -> Vec<Effect> {
        if self.is_done() || !self.standings.connected(member) {
            return Vec::new();
        }
        let mut effects = self.propose(usize::MAX);
        effects.extend(self.advance(now));
        effects
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis) -> Vec<Effect> {
        if self.is_done() {
            return Vec::new();
        }
        // C9
        if now >= self.setup.deadline {
            return self.finish(Err(answer::deadline(self)));
        }
        let mut effects = Vec::new();
        if now >= self.resend_at {
            self.resend_at = now.saturating_add(RESEND_MS);
            effects.extend(self.resend());
        }
        if now >= self.hedge_at {
            self.hedge_at = Millis::MAX;
            self.lateness.hedge(&self.standings);
            self.give_own_run_up();
            effects.extend(self.propose(usize::MAX));
        }
        let late: Option<BTreeSet<Identifier>> = match &self.phase {
            Phase::Committing { signers, commitments, ends } if now >= *ends => {
                Some(signers.iter().filter(|id| !commitments.contains_key(id)).copied().collect())
            }
            Phase::Signing { signing, ends } if now >= *ends => Some(signing.missing()),
            Phase::Observing | Phase::Committing { .. } | Phase::Signing { .. } | Phase::Done => None,
        };
        if let Some(mut late) = late {
            // in one round its run may still be under way, and may take everybody as long
            late.retain(|id| !self.standings.is_waiting(*id));
            self.standings.mark_slow(late, "it allowed, and did not return its share in time");
            effects.extend(self.next_attempt(Fallback::Late));
        }
        effects.extend(self.advance(now));
        effects
    }

    /// Asks those that are asked first.
    fn propose_first(&mut self) -> Vec<Effect> {
        if self.setup.advance.is_empty() || !self.standings.ask_one(self.setup.membership.me) {
            return self.propose(self.setup.membership.threshold());
        }
        self.one_round = OneRound::OwnRun;
        vec![Effect::Send { to: self.setup.membership.me, message: self.proposal(None) }]
    }

    /// Asks up to `count` of the members that were not asked yet.
    fn propose(&mut self, count: usize) -> Vec<Effect> {
        let asked = self.standings.ask(count);
        asked.into_iter().map(|to| Effect::Send { to, message: self.proposal(None) }).collect()
    }

    fn proposal(&self, eager: Option<&Eager>) -> ToParticipant {
        let request = self.setup.request.signed().clone();
        let eager = eager.cloned().map(Box::new);
        ToParticipant::Propose(Box::new(Proposal { request, terms: self.setup.terms.clone(), eager }))
    }

    fn observed(&mut self, from: Identifier, observation: Observation, now: Millis) -> Vec<Effect> {
        if !self.standings.is_waiting(from) {
            return Vec::new();
        }
        let count = observation.commitments.len();
        // C1
        let (allows, decided) = match &observation.decision {
            Provisional::Allow => (true, (1..=MAX_PAYLOADS).contains(&count)),
            Provisional::Refuse { reason } => (false, count == 0 && reason.len() <= MAX_REASON_BYTES),
        };
        let fits = decided && observation.record.is_bounded();
        if !fits {
            self.standings.misbehaved(from, "its observation is beyond the protocol's bounds");
            return self.propose(usize::MAX);
        }
        if !self.is_signed(from, &observation) {
            self.standings.misbehaved(from, "its record is not signed as it must be");
            return self.propose(usize::MAX);
        }
        self.standings.observed(from, observation);
        if allows {
            self.lateness.has_run(self.setup.membership.me, from, &self.standings);
        }
        if matches!(self.one_round, OneRound::OwnRun) && from == self.setup.membership.me {
            return self.after_own_run(now);
        }
        if self.is_awaited(from) {
            // it was to sign at once, and would rather see what the others read
            self.give_attempt_up(Fallback::Observed);
        }
        if allows { Vec::new() } else { self.propose(usize::MAX) }
    }

    /// Whether a record is signed by its node; the own node's word needs no signature here.
    fn is_signed(&self, from: Identifier, observation: &Observation) -> bool {
        let Membership { network, committee, me, .. } = self.setup.membership.as_ref();
        if from == *me {
            return observation.signature.is_some() != observation.record.is_identical();
        }
        committee.member(from).is_some_and(|member| observation.is_signed(*network, member))
    }

    fn declined(&mut self, from: Identifier, decline: Decline) -> Vec<Effect> {
        let awaited = self.is_awaited(from);
        if !awaited && !self.standings.is_waiting(from) {
            return Vec::new();
        }
        self.standings.declined(from, decline);
        if awaited {
            self.give_attempt_up(Fallback::Declined);
        }
        self.propose(usize::MAX)
    }

    /// Whether the current attempt cannot go on without this member.
    fn is_awaited(&self, member: Identifier) -> bool {
        match &self.phase {
            Phase::Observing | Phase::Done => false,
            Phase::Committing { signers, .. } => signers.contains(&member),
            Phase::Signing { signing, .. } => signing.missing().contains(&member),
        }
    }

    fn committed(&mut self, from: Identifier, attempt: u32, fresh: Vec<Commitments>) -> Vec<Effect> {
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

    /// Moves on as far as what is known allows.
    fn advance(&mut self, now: Millis) -> Vec<Effect> {
        if broken(Mutant::OneRefusalIsFinal) && !self.is_done() && self.standings.refusals() > 0 {
            return self.finish(Err(Failure::new(FailureKind::Refused, "a node refuses")));
        }
        if !matches!(self.phase, Phase::Observing) || self.awaits_own_run() {
            return Vec::new();
        }
        // C2
        let prospects = match self.search() {
            Ok(signers) => return self.start_attempt(signers, now),
            Err(prospects) => prospects,
        };
        if !prospects.exhausted {
            self.grace_ends = None;
            // members that were held back are needed as soon as those asked cannot suffice
            let asked_suffice = self.standings.asked_may_suffice(self.setup.membership.threshold());
            return if asked_suffice && !prospects.disagree { Vec::new() } else { self.propose(usize::MAX) };
        }
        let ends = *self.grace_ends.get_or_insert(now.saturating_add(GRACE_MS));
        if self.standings.anybody_waiting() && now < ends {
            return self.propose(usize::MAX);
        }
        self.finish(Err(answer::failure(self)))
    }

    /// Signers, or what can still come. It may cost milliseconds where many members report many numbers, so it is done
    /// once for each change.
    fn search(&mut self) -> Result<BTreeSet<Identifier>, Prospects> {
        let state = (self.standings.version(), self.tried.len(), self.kept.is_some());
        match self.searched {
            Some((searched, prospects)) if searched == state => Err(prospects),
            Some(_) | None => {
                let mut found = self.search_anew();
                if found.as_ref().is_err_and(|prospects| prospects.exhausted) && self.drop_eager_record() {
                    found = self.search_anew();
                }
                self.searched = found.as_ref().err().map(|prospects| (state, *prospects));
                found
            }
        }
    }

    fn search_anew(&self) -> Result<BTreeSet<Identifier>, Prospects> {
        let groups = self.groups();
        self.select(&groups).ok_or_else(|| self.prospects(&groups))
    }

    fn start_attempt(&mut self, signers: BTreeSet<Identifier>, now: Millis) -> Vec<Effect> {
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

    fn ask_to_commit(&self, to: Identifier) -> Effect {
        let message = ToParticipant::Commit { session: self.id, attempt: self.attempt };
        Effect::Send { to, message }
    }

    /// Gives the current attempt up; [`Coordinator::advance`] chooses the next signers.
    fn give_attempt_up(&mut self, why: Fallback) {
        self.fell_back(why);
        self.phase = Phase::Observing;
    }

    /// Gives the current attempt up and asks everybody who was held back.
    fn next_attempt(&mut self, why: Fallback) -> Vec<Effect> {
        self.give_attempt_up(why);
        self.propose(usize::MAX)
    }

    fn resend(&mut self) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self
            .standings
            .waiting()
            .map(|to| Effect::Send { to, message: self.proposal(self.eager_for(to)) })
            .collect();
        match &self.phase {
            Phase::Observing | Phase::Done => {}
            Phase::Committing { signers, commitments, .. } => {
                let missing = signers.iter().filter(|id| !commitments.contains_key(id));
                effects.extend(missing.map(|to| self.ask_to_commit(*to)));
            }
            Phase::Signing { signing, .. } => {
                // whoever has not observed yet was sent the package with the proposal
                let observed = |to: &Identifier| !self.standings.is_waiting(*to);
                effects.extend(signing.missing().into_iter().filter(observed).map(|to| signing.request(to)));
            }
        }
        effects
    }

    fn finish(&mut self, result: Result<Signed, Failure>) -> Vec<Effect> {
        self.phase = Phase::Done;
        // C10
        let completion = result.as_ref().ok().map(|signed| Completion {
            attempt: signed.attempts,
            signers: signed.signers.clone(),
            signatures: signed.signatures.clone(),
        });
        let close = |to| {
            let of_signer = |completion: &&Completion| completion.signers.contains_key(&to);
            let signed = completion.as_ref().filter(of_signer).cloned().map(Box::new);
            Effect::Send { to, message: ToParticipant::Close { session: self.id, signed } }
        };
        let mut effects: Vec<Effect> = self.standings.asked().map(close).collect();
        effects.push(Effect::Finished(Box::new(result)));
        effects
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
