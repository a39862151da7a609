//! What collects observations and shares for one request, aggregates, and explains a failure.
//!
//! The coordinator learns no secret and can forge nothing. It asks a threshold of members first and the
//! others as soon as one refuses, abstains, misbehaves, is gone or slow. A further attempt keeps the
//! agreed record, so that the bytes stay the same, and changes signers and nonces only.

mod answer;
mod attempts;
mod driver;
mod eager;
mod lateness;
mod proposal;
mod selection;
mod signing;
mod standing;
mod watched;

use std::collections::{BTreeMap, BTreeSet};

use countersign_threshold::Commitments;
use countersign_types::{
    Failure, FailureKind, Identifier, OutcomeHash, SessionId,
    mutant::{Mutant, broken},
};

use crate::{
    Millis,
    message::{Completion, ToCoordinator, ToParticipant},
};
use attempts::Kept;
pub use attempts::SIGN_MS;
pub use driver::{Effect, Setup, Signed};
pub use eager::Fallback;
use eager::OneRound;
use lateness::Lateness;
use selection::Prospects;
use signing::Signing;
use standing::Standings;
pub use watched::{Awaited, Sizes};

/// After this long without enough answers, members that were held back are asked too. Milliseconds.
pub const HEDGE_MS: Millis = 300;
/// How often an unanswered message is sent again. Milliseconds.
pub const RESEND_MS: Millis = 1_000;
/// How long a failure waits for the reasons of members that were asked and have not answered.
pub const GRACE_MS: Millis = 500;

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
