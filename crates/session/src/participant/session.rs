//! One session as a participant has it: from the proposal to the answers.

use std::{collections::BTreeMap, sync::Arc};

use countersign_agreement::{AgreedRecord, agree, check_own};
use countersign_threshold::Commitments;
use countersign_types::{
    B256, Identifier, PackageHash, Record, SessionId,
    mutant::{Mutant, broken},
};
use rand_core::{CryptoRng, RngCore};

use super::{Effect, Run, attempt::Attempt, declined, keys::KeyPair, seen::Seen, spare::Spare};
use crate::{
    Membership, Millis,
    message::{Decline, Eager, Observation, Package, ToCoordinator},
};

pub(super) struct Session<R> {
    pub(super) run: Run,
    pub(super) ends: Millis,
    pub(super) phase: Phase<R>,
    pub(super) attempts: BTreeMap<u32, Attempt>,
    /// The package that came with the proposal, until the live run shows whether it fits.
    pub(super) eager: Option<Eager>,
    /// Whether it did: then its answer is the answer to the proposal.
    pub(super) one_round: bool,
    /// What was agreed in the first package that this node accepted. Every further attempt keeps it.
    pub(super) agreed: Option<Arc<AgreedRecord>>,
    /// The digests under which other members' records were found signed: further attempts bring the same ones.
    pub(super) verified: BTreeMap<Identifier, B256>,
    /// What a mutant keeps of nonces that made a share.
    #[cfg(countersign_mutants)]
    pub(super) spent: BTreeMap<u32, Attempt>,
}

pub(super) enum Phase<R> {
    /// The live run is under way.
    Observing,
    /// It gave a record.
    Observed { observation: Box<Observation>, recorded: Arc<R>, recorded_bytes: usize },
    /// This node takes no part.
    Declined(Decline),
}

impl<R> Session<R> {
    /// Whether its coordinator counts on this node: it awaits a record, or shares.
    pub(super) fn awaits(&self) -> bool {
        let unspent = |attempt: &Attempt| match attempt {
            Attempt::Committed { .. } | Attempt::Replaying(_) => true,
            Attempt::Answered { .. } => false,
        };
        match &self.phase {
            Phase::Observing => true,
            Phase::Observed { .. } => self.attempts.values().any(unspent),
            Phase::Declined(_) => false,
        }
    }

    /// Whether this node gave shares in it.
    pub(super) fn gave_shares(&self) -> bool {
        let gave = |attempt: &Attempt| match attempt {
            Attempt::Answered { answer, .. } => matches!(answer.as_ref(), ToCoordinator::Signed(_)),
            Attempt::Committed { .. } | Attempt::Replaying(_) => false,
        };
        self.attempts.values().any(gave)
    }

    /// What the live run left.
    pub(super) fn recorded(&self) -> Option<Arc<R>> {
        match &self.phase {
            Phase::Observed { recorded, .. } => Some(Arc::clone(recorded)),
            Phase::Observing | Phase::Declined(_) => None,
        }
    }

    pub(super) fn answer(&self, id: SessionId) -> Vec<Effect<R>> {
        let to = self.run.coordinator;
        match &self.phase {
            Phase::Observing => Vec::new(),
            Phase::Observed { .. } if self.one_round => match self.attempts.get(&1) {
                Some(Attempt::Answered { answer, .. }) => {
                    vec![Effect::Send { to, message: answer.as_ref().clone() }]
                }
                Some(Attempt::Committed { .. } | Attempt::Replaying(_)) | None => Vec::new(),
            },
            Phase::Observed { observation, .. } => {
                vec![Effect::Send { to, message: ToCoordinator::Observed(observation.clone()) }]
            }
            Phase::Declined(decline) => vec![declined(to, id, decline.clone())],
        }
    }

    pub(super) fn start_attempt(
        &mut self,
        attempt: u32,
        payloads: usize,
        keys: &KeyPair,
        spare: &mut Spare,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Commitments> {
        let scheme = self.run.request.request().key.scheme;
        let fresh: Vec<_> = (0..payloads).map(|_| spare.take(scheme, || keys.share.commit(rng))).collect();
        #[cfg(countersign_mutants)]
        let fresh = crate::mutant::repeated(keys.share.identifier(), self.run.session, attempt, fresh);
        let (nonces, commitments): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        self.attempts.insert(attempt, Attempt::Committed { nonces, commitments: commitments.clone() });
        commitments
    }

    /// Binds the attempt's nonces to this package, if it fits what this node committed to and read.
    pub(super) fn accept(
        &mut self,
        membership: &Membership,
        package: Package,
        hash: PackageHash,
        send_verdict: bool,
        seen: &mut Seen,
    ) -> Result<Effect<R>, String> {
        // S3
        let skips_seen = broken(Mutant::AcceptsSeenCommitments) || broken(Mutant::UsesNoncesTwice);
        if let Some(reused) = seen.find(self.run.coordinator, &package, hash).filter(|_| !skips_seen) {
            return Err(format!("the commitments of member {reused} stood in another package"));
        }
        let Phase::Observed { observation, recorded, .. } = &self.phase else {
            return Err("this node has no record in this session".into());
        };
        // S4
        let is_own = package.records.get(&membership.me) == Some(&observation.record)
            && package.signatures.get(&membership.me) == observation.signature.as_ref();
        if !is_own && !broken(Mutant::SkipsOwnRecord) {
            return Err("the package does not hold this node's record as this node signed it".into());
        }
        let agreed = agree(&package.base_records());
        // S5, for those of the base that do not sign too: what is signed is what a threshold agreed on and accepted
        let stands = |record: &Record| check_own(&agreed, record).map_err(|error| error.to_string());
        package.records.values().try_for_each(stands)?;
        // S6
        let changes = self.agreed.as_ref().is_some_and(|first| first.entries != agreed.entries);
        if changes && !broken(Mutant::ChangesAgreedRecord) {
            return Err("a further attempt keeps what was agreed in the first, and this one does not".into());
        }
        // S7
        let number = package.attempt;
        if !matches!(self.attempts.get(&number), Some(Attempt::Committed { .. })) {
            return Err(format!("this node has no unused commitments for attempt {number}"));
        }
        // S8; a package of this node's own coordinator holds records that it has checked when they came
        if self.run.coordinator != membership.me && !broken(Mutant::SkipsRecordSignatures) {
            check_signatures(&mut self.verified, membership, &package)?;
        }
        let Some(attempt) = self.attempts.remove(&number) else {
            return Err(format!("this node did not commit to attempt {number}"));
        };
        seen.remember(self.run.coordinator, &package, hash);
        // S9
        let (attempt, result) = attempt.bind(membership, package, hash, send_verdict);
        self.attempts.insert(number, attempt);
        result?;
        let (run, recorded, agreed) = (self.run.clone(), Arc::clone(recorded), Arc::new(agreed));
        self.agreed = Some(Arc::clone(&agreed));
        Ok(Effect::Replay { run, attempt: number, recorded, agreed })
    }
}

/// The package of an eager proposal, if this node read what it is about, which must be identical everywhere.
pub(super) fn fitting(
    eager: Eager,
    session: SessionId,
    own: &Record,
    membership: &Membership,
) -> Option<Package> {
    let package = (own.is_identical() && eager.record == *own).then(|| eager.package(session))?;
    package.validate(&membership.committee).is_ok().then_some(package)
}

/// Checks that the other members read in this session what the package says they did; the own record and its signature were
/// compared with what was sent. `verified` holds what was found signed before.
fn check_signatures(
    verified: &mut BTreeMap<Identifier, B256>,
    membership: &Membership,
    package: &Package,
) -> Result<(), String> {
    for (id, signature) in package.signatures.iter().filter(|(id, _)| **id != membership.me) {
        let unsigned = || format!("the record of member {id} is not one that it signed in this session");
        let record = package.records.get(id).ok_or_else(unsigned)?;
        let digest = record.observed_digest(membership.network, package.session);
        if verified.get(id) == Some(&digest) {
            continue;
        }
        let member = membership.committee.member(*id).ok_or_else(unsigned)?;
        member.verify(digest, signature).map_err(|_| unsigned())?;
        verified.insert(*id, digest);
    }
    Ok(())
}
