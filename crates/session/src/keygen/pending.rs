//! Root keys on their way: who confirmed them, and who activated them.

use std::collections::{BTreeMap, BTreeSet};

use countersign_types::{
    Activation, AttemptId, AttemptTerms, B256, Identifier, NodeKey, NodeSignature, RootKey,
    activation_digest,
    mutant::{Mutant, broken},
    roots_hash,
};

use super::{Message, Refusal, confirm_digest, sign_activation};
use crate::Membership;

/// The stored shares of an attempt without their secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The attempt.
    pub terms: AttemptTerms,
    /// The root keys that it would give, one for each of its schemes.
    pub roots: Vec<RootKey>,
}

/// What a member signed about one attempt that does not go together: anybody can check that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction {
    /// The hash of the roots that it confirmed.
    pub roots: B256,
    /// Its confirmation.
    pub confirmation: NodeSignature,
    /// That it never confirms the attempt.
    pub refusal: Refusal,
}

/// A member confirms other roots. All that take part saw the same broadcasts, which fix the roots.
pub(super) struct OtherRoots;

/// What is known of roots whose shares are stored here.
pub(super) struct Candidate {
    terms: AttemptTerms,
    roots: Vec<RootKey>,
    hash: B256,
    confirmations: BTreeMap<Identifier, NodeSignature>,
    activations: BTreeMap<Identifier, NodeSignature>,
    /// The first that came.
    refusal: Option<Refusal>,
    /// Who contradicted itself about this attempt.
    reported: BTreeSet<Identifier>,
}

impl Candidate {
    pub(super) fn new(terms: AttemptTerms, roots: Vec<RootKey>) -> Self {
        let hash = roots_hash(&roots);
        Self {
            terms,
            roots,
            hash,
            confirmations: BTreeMap::new(),
            activations: BTreeMap::new(),
            refusal: None,
            reported: BTreeSet::new(),
        }
    }

    pub(super) fn roots(&self) -> &[RootKey] {
        &self.roots
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Takes a refusal whose signature was checked: whether it is the first.
    pub(super) fn refuse(&mut self, refusal: Refusal) -> bool {
        let is_first = self.refusal.is_none();
        self.refusal.get_or_insert(refusal);
        is_first
    }

    /// An activation that all confirmed outweighs a refusal, whose signer also confirmed.
    pub(super) fn revive(&mut self) {
        self.refusal = None;
    }

    /// Whether the member signed this refusal and a confirmation, which is told once.
    pub(super) fn contradiction(&mut self, refusal: &Refusal) -> Option<Contradiction> {
        let confirmation = *self.confirmations.get(&refusal.by)?;
        let is_new = self.reported.insert(refusal.by);
        is_new.then_some(Contradiction { roots: self.hash, confirmation, refusal: *refusal })
    }

    /// Whether the member is told for the first time as one that confirms other roots.
    fn report(&mut self, member: Identifier) -> bool {
        self.reported.insert(member)
    }

    pub(super) fn confirm_own(&mut self, membership: &Membership, identity: &NodeKey, attempt: AttemptId) {
        let digest = confirm_digest(membership.network, attempt, self.hash);
        self.confirmations.insert(membership.me, identity.sign(digest));
    }

    /// Takes up an activation that was stored before a restart.
    pub(super) fn resume(
        &mut self,
        membership: &Membership,
        identity: &NodeKey,
        attempt: AttemptId,
        confirmations: &[NodeSignature],
    ) {
        self.all_confirmed(membership, attempt, confirmations);
        self.activate_own(membership, identity, attempt);
    }

    /// Takes what came before this member had the roots: who confirms other ones.
    pub(super) fn early(
        &mut self,
        membership: &Membership,
        attempt: AttemptId,
        confirmations: BTreeMap<Identifier, Vec<(B256, NodeSignature)>>,
    ) -> Vec<Identifier> {
        let mut culprits = Vec::new();
        for (from, said) in confirmations {
            for (roots, signature) in said {
                if self.confirmed(membership, attempt, from, roots, signature).is_err() {
                    culprits.push(from);
                }
            }
        }
        culprits
    }

    pub(super) fn confirmed(
        &mut self,
        membership: &Membership,
        attempt: AttemptId,
        from: Identifier,
        roots: B256,
        signature: NodeSignature,
    ) -> Result<(), OtherRoots> {
        let digest = confirm_digest(membership.network, attempt, roots);
        if !signed(membership, from, digest, &signature) {
            return Ok(());
        }
        if roots != self.hash {
            return if self.report(from) { Err(OtherRoots) } else { Ok(()) };
        }
        self.confirmations.insert(from, signature);
        Ok(())
    }

    /// Members whose confirmation is not here.
    pub(super) fn unconfirmed(&self, membership: &Membership) -> Vec<Identifier> {
        membership.committee.identifiers().filter(|id| !self.confirmations.contains_key(id)).collect()
    }

    /// Members whose activation is not here.
    pub(super) fn inactive(&self, membership: &Membership) -> Vec<Identifier> {
        membership.committee.identifiers().filter(|id| !self.activations.contains_key(id)).collect()
    }

    /// Takes the confirmations of all members, if they are.
    pub(super) fn all_confirmed(
        &mut self,
        membership: &Membership,
        attempt: AttemptId,
        confirmations: &[NodeSignature],
    ) {
        let digest = confirm_digest(membership.network, attempt, self.hash);
        if confirmations.len() != usize::from(membership.committee.size())
            || self.confirmations.len() == confirmations.len()
        {
            return;
        }
        let all: BTreeMap<Identifier, NodeSignature> =
            membership.committee.identifiers().zip(confirmations.iter().copied()).collect();
        if all.iter().all(|(id, signature)| signed(membership, *id, digest, signature)) {
            self.confirmations = all;
        }
    }

    /// All confirmations in the order of the identifiers, once there are all.
    pub(super) fn confirmations(&self, membership: &Membership) -> Option<Vec<NodeSignature>> {
        let missing = usize::from(membership.committee.size()) - self.confirmations.len();
        let all = missing == 0 || (missing == 1 && broken(Mutant::ActivatesWithoutAll));
        all.then(|| self.confirmations.values().copied().collect())
    }

    pub(super) fn confirmation(&self, membership: &Membership) -> Option<Message> {
        let signature = *self.confirmations.get(&membership.me)?;
        Some(Message::Confirm { terms: self.terms.clone(), roots: self.hash, signature })
    }

    pub(super) fn activate_own(&mut self, membership: &Membership, identity: &NodeKey, attempt: AttemptId) {
        let signature = sign_activation(membership, identity, attempt, &self.roots);
        self.activations.insert(membership.me, signature);
    }

    /// Takes a member's activation: whether it is one.
    pub(super) fn activated(
        &mut self,
        membership: &Membership,
        attempt: AttemptId,
        from: Identifier,
        signature: NodeSignature,
    ) -> bool {
        let digest = activation_digest(&self.roots, membership.network, membership.epoch, attempt);
        let is_signed = signed(membership, from, digest, &signature);
        if is_signed {
            self.activations.insert(from, signature);
        }
        is_signed
    }

    /// This member's activation, with all confirmations, so that any member can follow.
    pub(super) fn activation(&self, membership: &Membership, attempt: AttemptId) -> Option<Message> {
        let signature = *self.activations.get(&membership.me)?;
        let confirmations = self.confirmations(membership)?;
        Some(Message::Activate { attempt, confirmations, signature })
    }

    pub(super) fn complete(&self, membership: &Membership, attempt: AttemptId) -> Option<Activation> {
        let all = self.activations.len() == usize::from(membership.committee.size());
        let signatures = self.activations.values().copied().collect();
        all.then(|| Activation { roots: self.roots.clone(), attempt, signatures })
    }
}

fn signed(membership: &Membership, from: Identifier, digest: B256, signature: &NodeSignature) -> bool {
    membership.committee.member(from).is_some_and(|member| member.verify(digest, signature).is_ok())
}
