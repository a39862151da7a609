//! One attempt's shares, from the package to the signatures.

use std::collections::{BTreeMap, BTreeSet};

use countersign_threshold::{AggregateError, Commitments, DerivedPublic, PackageError, SignatureShare};
use countersign_types::{
    Bytes, Identifier, NetworkId, Outcome, PackageHash, Signature,
    mutant::{Mutant, broken},
};

use super::{
    Coordinator, Effect, Fallback, Kept, Phase, Signed, answer,
    standing::{records_of, signatures_of},
};
use crate::{
    Membership, Millis,
    message::{Decline, Package, Signed as SignedMessage, SignerPart, ToParticipant, shares_hash},
};

/// An attempt that waits for shares.
pub(super) struct Signing {
    package: Package,
    hash: PackageHash,
    /// Who is asked for the verdict itself.
    speaker: Identifier,
    answers: BTreeMap<Identifier, SignedMessage>,
    outcome: Option<Outcome>,
}

impl Signing {
    pub(super) fn new(package: Package, network: NetworkId, speaker: Identifier) -> Self {
        let hash = package.hash(network);
        Self { package, hash, speaker, answers: BTreeMap::new(), outcome: None }
    }

    pub(super) fn missing(&self) -> BTreeSet<Identifier> {
        self.package.signers.keys().filter(|id| !self.answers.contains_key(id)).copied().collect()
    }

    /// Signers whose commitments are none. Looked at only when an attempt has failed: it costs curve
    /// operations.
    fn malformed(&self, public: &DerivedPublic) -> BTreeSet<Identifier> {
        let mut culprits = BTreeSet::new();
        for index in 0..self.package.payloads() {
            let mut package = self.package.signing(index, Bytes::new());
            while let Err(AggregateError::Package(PackageError::MalformedCommitments { signer })) =
                public.aggregate(&package, &BTreeMap::new())
            {
                culprits.insert(signer);
                package.commitments.remove(&signer);
            }
        }
        culprits
    }

    /// What asks a signer for its shares.
    pub(super) fn request(&self, to: Identifier) -> Effect {
        let package = Box::new(self.package.clone());
        Effect::Send { to, message: ToParticipant::Sign { package, send_verdict: to == self.speaker } }
    }

    /// Checks everything about an answer that can be checked alone (C4).
    fn check(
        &self,
        membership: &Membership,
        from: Identifier,
        signed: &SignedMessage,
    ) -> Result<(), &'static str> {
        let vote = &signed.vote.vote;
        if broken(Mutant::BelievesVotes) {
            return Ok(());
        }
        if signed.shares.len() != self.package.payloads() {
            return Err("it sent another number of shares than it committed to");
        }
        if vote.package != self.hash || vote.session != self.package.session {
            return Err("its vote is for another package");
        }
        if self.package.records.get(&from).map(|record| record.hash()) != Some(vote.record) {
            return Err("its vote is for another record than it sent");
        }
        if vote.shares != shares_hash(&signed.shares) {
            return Err("its vote is for other shares than it sent");
        }
        if from == membership.me {
            // from within
            return Ok(());
        }
        let member = membership.committee.member(from).ok_or("it is no member")?;
        signed.vote.verify(membership.network, member).map_err(|_| "its vote's signature is wrong")
    }
}

impl Coordinator {
    /// Sends the package of the current attempt, which ends then.
    pub(super) fn sign(
        &mut self,
        signers: BTreeMap<Identifier, Vec<Commitments>>,
        ends: Millis,
    ) -> Vec<Effect> {
        let repeating = self.setup.sent.package(&signers);
        if !repeating.is_empty() {
            return self.repeated(repeating);
        }
        let set: BTreeSet<Identifier> = signers.keys().copied().collect();
        let payloads = signers.values().next().map_or(0, Vec::len);
        let mut records = records_of(&self.standings, &set);
        let mut signatures = signatures_of(&self.standings, &set);
        let kept = self.kept.get_or_insert_with(|| Kept::new(records.clone(), signatures.clone(), payloads));
        if self.attempt > 1 {
            // where a member of the base has come back with another record, the kept one counts
            records.extend(kept.records.clone());
            signatures.extend(kept.signatures.clone());
        }
        let base = kept.records.keys().copied().collect();
        let package = Package { session: self.id, attempt: self.attempt, base, records, signatures, signers };
        let me = self.setup.membership.me;
        let speaker = if set.contains(&me) { Some(me) } else { set.first().copied() };
        let Some(speaker) = speaker else { return self.finish(Err(answer::exhausted(self))) };
        let signing = Signing::new(package, self.setup.membership.network, speaker);
        let effects = set.iter().map(|to| signing.request(*to)).collect();
        self.phase = Phase::Signing { signing: Box::new(signing), ends };
        effects
    }

    /// Members committed to what stood in an earlier package: nobody would sign this one.
    fn repeated(&mut self, culprits: BTreeSet<Identifier>) -> Vec<Effect> {
        for culprit in culprits {
            self.standings.misbehaved(culprit, "it committed to what stood in an earlier package");
        }
        self.next_attempt(Fallback::Misbehaved)
    }

    /// A signer does not sign this package. It may be right: it has given shares for another outcome of the request, or one that
    /// commits to what is no commitment keeps all others from signing. So nobody is out on its word alone: another set is tried,
    /// and whoever declined comes last (C7).
    pub(super) fn package_declined(
        &mut self,
        from: Identifier,
        attempt: u32,
        decline: &Decline,
    ) -> Vec<Effect> {
        if attempt == 1 {
            // also where that attempt was given up meanwhile: it declines the package of one round only after it has read the same
            self.signed_at_once(from);
        }
        let Phase::Signing { signing, .. } = &self.phase else { return Vec::new() };
        if attempt != self.attempt || !signing.missing().contains(&from) {
            return Vec::new();
        }
        let culprits = signing.malformed(&self.setup.public);
        if culprits.is_empty() {
            self.tried.insert(signing.package.signers.keys().copied().collect());
            let (Decline::Refused { reason } | Decline::Abstain { reason, .. }) = decline;
            self.standings.mark_objecting(from, reason);
        }
        for culprit in culprits {
            self.standings.misbehaved(culprit, "its commitments are malformed");
        }
        self.next_attempt(Fallback::Declined)
    }

    /// Takes a signer's shares and vote.
    pub(super) fn signed(&mut self, from: Identifier, signed: SignedMessage) -> Vec<Effect> {
        if signed.attempt == 1 {
            // also where that attempt was given up meanwhile
            self.signed_at_once(from);
        }
        let key = &self.setup.request.request().key;
        let Phase::Signing { signing, .. } = &mut self.phase else { return Vec::new() };
        let asked = signing.package.signers.contains_key(&from) && !signing.answers.contains_key(&from);
        if !asked || signed.attempt != self.attempt {
            return Vec::new();
        }
        let mut checked = signing.check(&self.setup.membership, from, &signed);
        if checked.is_ok() && from == signing.speaker {
            let outcome = signed.verdict.clone().and_then(|verdict| Outcome::of(verdict, key).ok());
            match outcome {
                Some(outcome) if outcome.hash() == signed.vote.vote.outcome => {
                    signing.outcome = Some(outcome)
                }
                Some(_) | None => checked = Err("its verdict is not the one that it voted for"),
            }
        }
        if let Err(reason) = checked {
            self.standings.misbehaved(from, reason);
            return self.next_attempt(Fallback::Misbehaved);
        }
        let outcome = signed.vote.vote.outcome;
        if self.voted.insert(from, outcome).is_some_and(|earlier| earlier != outcome) {
            self.standings.misbehaved(from, "it voted for two outcomes over the same agreed record");
            return self.next_attempt(Fallback::Misbehaved);
        }
        signing.answers.insert(from, signed);
        if signing.missing().is_empty() { self.aggregate() } else { Vec::new() }
    }

    fn aggregate(&mut self) -> Vec<Effect> {
        let Phase::Signing { signing, .. } = std::mem::replace(&mut self.phase, Phase::Observing) else {
            return Vec::new();
        };
        // C5
        let differing = differing_outcomes(&signing);
        let messages = signing.outcome.as_ref().map(Outcome::messages).unwrap_or_default();
        if differing || messages.len() != signing.package.payloads() {
            return self.unnamed_failure(&signing);
        }
        let mut signatures = Vec::with_capacity(messages.len());
        for (index, message) in messages.into_iter().enumerate() {
            let shares: BTreeMap<Identifier, SignatureShare> = signing
                .answers
                .iter()
                .filter_map(|(id, answer)| Some((*id, answer.shares.get(index)?.clone())))
                .collect();
            match self.setup.public.aggregate(&signing.package.signing(index, message), &shares) {
                Ok(signature) => signatures.push(signature),
                // C6
                Err(AggregateError::BadShares { culprits }) => {
                    for culprit in culprits {
                        self.standings.misbehaved(culprit, "its signature share is wrong");
                    }
                    return self.next_attempt(Fallback::Misbehaved);
                }
                Err(_) => return self.unnamed_failure(&signing),
            }
        }
        self.succeed(*signing, signatures)
    }

    /// The attempt failed and nobody can be blamed for sure: another set of signers is tried.
    ///
    /// Where this node is a signer itself, it knows what the others should have voted for.
    fn unnamed_failure(&mut self, signing: &Signing) -> Vec<Effect> {
        self.tried.insert(signing.package.signers.keys().copied().collect());
        let me = self.setup.membership.me;
        if let Some(own) = signing.answers.get(&me).map(|answer| answer.vote.vote.outcome) {
            let others = signing.answers.iter().filter(|(_, answer)| answer.vote.vote.outcome != own);
            for (id, _) in others {
                self.standings.misbehaved(*id, "it voted for another outcome over the same agreed record");
            }
        }
        self.next_attempt(Fallback::Misbehaved)
    }

    fn succeed(&mut self, signing: Signing, signatures: Vec<Signature>) -> Vec<Effect> {
        let Some(outcome) = signing.outcome else { return self.finish(Err(answer::exhausted(self))) };
        let signers: BTreeMap<Identifier, SignerPart> = signing
            .answers
            .into_iter()
            .map(|(id, SignedMessage { vote, shares, .. })| (id, SignerPart { vote, shares }))
            .collect();
        let signed = Signed {
            session: self.id,
            terms: self.setup.terms.clone(),
            outcome,
            nodes: answer::nodes_with_signers(self, signers.keys()),
            signers,
            signatures,
            attempts: self.attempt,
            fallback: self.fallback(),
        };
        self.finish(Ok(signed))
    }
}

fn differing_outcomes(signing: &Signing) -> bool {
    let mut outcomes = signing.answers.values().map(|answer| answer.vote.vote.outcome);
    let first = outcomes.next();
    outcomes.any(|outcome| Some(outcome) != first)
}
