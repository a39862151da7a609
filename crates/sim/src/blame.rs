//! Lies that a coordinator has proof of: an honest one names whoever told it one, by the end of the session.
//!
//! A lie counts where the coordinator waits for just this answer: it never looks at what comes later, or for an attempt that it has
//! given up. The proofs are looked for here in another place than in the coordinator, in what reaches it and what it sent: a
//! record without its signature (C1), another number of fresh commitments, an answer that is not for its package (C4), another
//! outcome than the coordinator's own (C5), a bad share (C6), commitments that are none, or that stood in an earlier package.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_session::{
    coordinator::Awaited,
    message::{Observation, Package, Provisional, Signed, ToCoordinator, ToParticipant, shares_hash},
};
use countersign_threshold::{AggregateError, Commitments, DerivedPublic, PackageError};
use countersign_types::{
    Bytes, Decision, Identifier, KeySpec, MAX_PAYLOADS, NodeDecision, Outcome, OutcomeHash, PackageHash,
    SessionId, outcome::MAX_REASON_BYTES,
};

use crate::{
    roots::{NETWORK, Roots},
    violation::Violation,
};

pub(crate) struct Blame {
    roots: Arc<Roots>,
    liars: BTreeSet<Identifier>,
    /// What honest coordinators hear in their sessions.
    hearings: BTreeMap<(Identifier, SessionId), Hearing>,
    /// By coordinator: the package that commitments stand in.
    sent: BTreeMap<Identifier, BTreeMap<Commitments, PackageHash>>,
    /// How many liars were named, by what they did.
    pub(crate) named: BTreeMap<&'static str, u64>,
}

struct Hearing {
    key: KeySpec,
    attempt: Option<Attempt>,
    /// What members voted for over the same records.
    votes: BTreeMap<Identifier, OutcomeHash>,
    proven: BTreeMap<Identifier, &'static str>,
}

/// What signers are asked for, and what they answered.
struct Attempt {
    package: Package,
    hash: PackageHash,
    /// Whoever is asked for the verdict.
    speaker: Option<Identifier>,
    answers: BTreeMap<Identifier, Signed>,
    outcome: Option<Outcome>,
}

impl Blame {
    pub(crate) fn new(roots: Arc<Roots>, liars: BTreeSet<Identifier>) -> Self {
        Self { roots, liars, hearings: BTreeMap::new(), sent: BTreeMap::new(), named: BTreeMap::new() }
    }

    /// A coordinator has lost its memory.
    pub(crate) fn restarted(&mut self, by: Identifier) {
        self.hearings.retain(|(of, _), _| *of != by);
        self.sent.remove(&by);
    }

    /// An honest coordinator asks a member for something.
    pub(crate) fn asks(&mut self, by: Identifier, to: Identifier, message: &ToParticipant) {
        match message {
            ToParticipant::Propose(proposal) => {
                let session = proposal.terms.id(NETWORK);
                let key = &proposal.request.request.key;
                self.hearings.entry((by, session)).or_insert_with(|| Hearing::about(key.clone()));
                if let Some(eager) = &proposal.eager {
                    self.packs(by, &eager.as_ref().clone().package(session), Some(by));
                }
            }
            ToParticipant::Sign { package, send_verdict } => {
                self.packs(by, package, send_verdict.then_some(to));
            }
            ToParticipant::Commit { .. } | ToParticipant::Close { .. } => {}
        }
    }

    fn packs(&mut self, by: Identifier, package: &Package, speaker: Option<Identifier>) {
        let Some(hearing) = self.hearings.get_mut(&(by, package.session)) else { return };
        if let Some(attempt) = hearing.attempt.as_mut().filter(|attempt| attempt.package == *package) {
            attempt.speaker = attempt.speaker.or(speaker);
            return;
        }
        let hash = package.hash(NETWORK);
        let sent = self.sent.entry(by).or_default();
        for (member, all) in &package.signers {
            for one in all {
                if *sent.entry(one.clone()).or_insert(hash) != hash {
                    hearing.proves(*member, "its commitments stood in an earlier package");
                }
            }
        }
        let earlier = hearing.attempt.as_ref().map(|attempt| &attempt.package);
        if earlier.is_some_and(|earlier| earlier.base_records() != package.base_records()) {
            hearing.votes.clear();
        }
        let (answers, outcome) = (BTreeMap::new(), None);
        hearing.attempt = Some(Attempt { package: package.clone(), hash, speaker, answers, outcome });
    }

    /// A message reaches an honest coordinator, which waits for this from its sender.
    pub(crate) fn hears(
        &mut self,
        by: Identifier,
        from: Identifier,
        message: &ToCoordinator,
        awaited: Awaited,
    ) {
        let Some(hearing) = self.hearings.get_mut(&(by, message.session())) else { return };
        let lies = self.liars.contains(&from);
        match message {
            ToCoordinator::Observed(observation) => {
                if lies && awaited.record && !is_sound(&self.roots, from, observation) {
                    hearing.proves(from, "its observation is beyond bounds, or not signed");
                }
            }
            ToCoordinator::Committed { attempt, commitments, .. } => {
                let payloads = hearing.attempt.as_ref().map(|attempt| attempt.package.payloads());
                let differs = payloads.is_some_and(|payloads| payloads != commitments.len());
                if lies && awaited.commitments == Some(*attempt) && differs {
                    hearing.proves(from, "it commits to another number of payloads");
                }
            }
            ToCoordinator::Signed(signed) if awaited.shares == Some(signed.attempt) => {
                let checked = if lies { hearing.check(&self.roots, from, signed) } else { Ok(()) };
                match checked {
                    Err(why) => hearing.proves(from, why),
                    Ok(()) => hearing.takes(&self.roots, &self.liars, by, from, signed),
                }
            }
            ToCoordinator::Declined { attempt: Some(attempt), .. } if awaited.shares == Some(*attempt) => {
                for culprit in hearing.malformed(&self.roots) {
                    hearing.proves(culprit, "its commitments are none");
                }
            }
            ToCoordinator::Signed(_) | ToCoordinator::Declined { .. } => {}
        }
    }

    /// An honest coordinator says what all did.
    pub(crate) fn ended(
        &mut self,
        by: Identifier,
        session: SessionId,
        nodes: &[NodeDecision],
    ) -> Result<(), Violation> {
        let Some(hearing) = self.hearings.remove(&(by, session)) else { return Ok(()) };
        for (node, why) in hearing.proven.into_iter().filter(|(node, _)| self.liars.contains(node)) {
            let peer_id = self.roots.membership(by).peer_id(node);
            let said = nodes.iter().find(|said| said.peer_id == peer_id).map(|said| said.decision);
            if said != Some(Decision::Misbehaved) {
                return Err(Violation::NotBlamed { by, node, session, why });
            }
            *self.named.entry(why).or_default() += 1;
        }
        Ok(())
    }
}

impl Hearing {
    fn about(key: KeySpec) -> Self {
        Self { key, attempt: None, votes: BTreeMap::new(), proven: BTreeMap::new() }
    }

    fn proves(&mut self, member: Identifier, why: &'static str) {
        self.proven.entry(member).or_insert(why);
    }

    /// Whether an answer is one for the package that was sent, as far as that shows by itself.
    fn check(&self, roots: &Roots, from: Identifier, signed: &Signed) -> Result<(), &'static str> {
        let Some(attempt) = &self.attempt else { return Ok(()) };
        let vote = &signed.vote.vote;
        if signed.shares.len() != attempt.package.payloads() {
            return Err("it sent another number of shares");
        }
        if (vote.session, vote.package) != (attempt.package.session, attempt.hash) {
            return Err("it voted for another package");
        }
        let record = attempt.package.records.get(&from).map(countersign_types::Record::hash);
        if record != Some(vote.record) {
            return Err("it voted for another record");
        }
        if vote.shares != shares_hash(&signed.shares) {
            return Err("it voted for other shares");
        }
        let member = roots.committee.member(from);
        if member.is_none_or(|member| signed.vote.verify(NETWORK, member).is_err()) {
            return Err("its vote is not signed by it");
        }
        if attempt.speaker == Some(from) && self.verdict(signed).is_none() {
            return Err("its verdict is not what it voted for");
        }
        if self.votes.get(&from).is_some_and(|earlier| *earlier != vote.outcome) {
            return Err("it voted for two outcomes over the same records");
        }
        Ok(())
    }

    /// The outcome of the verdict that stands in an answer, if the answer votes for it.
    fn verdict(&self, signed: &Signed) -> Option<Outcome> {
        let outcome = Outcome::of(signed.verdict.clone()?, &self.key).ok()?;
        (outcome.hash() == signed.vote.vote.outcome).then_some(outcome)
    }

    /// An answer that is one. With the last of them, the shares are judged.
    fn takes(
        &mut self,
        roots: &Roots,
        liars: &BTreeSet<Identifier>,
        by: Identifier,
        from: Identifier,
        signed: &Signed,
    ) {
        let outcome = signed.vote.vote.outcome;
        let speaks = self.attempt.as_ref().is_some_and(|attempt| attempt.speaker == Some(from));
        let verdict = if speaks { self.verdict(signed) } else { None };
        let Some(attempt) = &mut self.attempt else { return };
        self.votes.insert(from, outcome);
        attempt.outcome = verdict.or(attempt.outcome.take());
        attempt.answers.insert(from, signed.clone());
        if attempt.answers.len() < attempt.package.signers.len() {
            return;
        }
        let votes = attempt.answers.iter().map(|(id, answer)| (*id, answer.vote.vote.outcome));
        let votes: BTreeMap<Identifier, OutcomeHash> = votes.collect();
        if votes.values().any(|vote| *vote != outcome) {
            // who is right, the coordinator knows where it signs itself
            let own = votes.get(&by).copied();
            for (member, _) in votes.into_iter().filter(|(_, vote)| own.is_some_and(|own| own != *vote)) {
                self.proves(member, "it voted for another outcome");
            }
        } else if attempt.answers.keys().any(|id| liars.contains(id)) {
            for member in attempt.bad_shares(&roots.derive(&self.key.key_id())) {
                self.proves(member, "its share is wrong");
            }
        }
    }

    /// Signers whose commitments are none.
    fn malformed(&self, roots: &Roots) -> BTreeSet<Identifier> {
        let mut culprits = BTreeSet::new();
        let Some(attempt) = &self.attempt else { return culprits };
        let public = roots.derive(&self.key.key_id());
        for index in 0..attempt.package.payloads() {
            let mut package = attempt.package.signing(index, Bytes::new());
            while let Err(AggregateError::Package(PackageError::MalformedCommitments { signer })) =
                public.aggregate(&package, &BTreeMap::new())
            {
                culprits.insert(signer);
                package.commitments.remove(&signer);
            }
        }
        culprits
    }
}

impl Attempt {
    /// Whose shares of the first payload that cannot be signed are wrong.
    fn bad_shares(&self, public: &DerivedPublic) -> Vec<Identifier> {
        let messages = self.outcome.as_ref().map(Outcome::messages).unwrap_or_default();
        for (index, message) in messages.into_iter().enumerate().take(self.package.payloads()) {
            let shares = self.answers.iter().filter_map(|(id, a)| Some((*id, a.shares.get(index)?.clone())));
            match public.aggregate(&self.package.signing(index, message), &shares.collect()) {
                Ok(_) => {}
                Err(AggregateError::BadShares { culprits }) => return culprits,
                Err(_) => return Vec::new(),
            }
        }
        Vec::new()
    }
}

/// Whether an observation is bounded, and signed where it must be.
fn is_sound(roots: &Roots, from: Identifier, observation: &Observation) -> bool {
    let count = observation.commitments.len();
    let decided = match &observation.decision {
        Provisional::Allow => (1..=MAX_PAYLOADS).contains(&count),
        Provisional::Refuse { reason } => count == 0 && reason.len() <= MAX_REASON_BYTES,
    };
    let member = roots.committee.member(from);
    decided
        && observation.record.is_bounded()
        && member.is_some_and(|member| observation.is_signed(NETWORK, member))
}
