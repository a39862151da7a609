//! Root keys on their way: who confirmed them, and who activated them.

use std::collections::BTreeMap;

use countersign_types::{
    Activation, AttemptId, AttemptTerms, B256, Identifier, NodeKey, NodeSignature, RootKey,
    activation_digest,
    mutant::{Mutant, broken},
    roots_hash,
};

use super::{Message, confirm_digest, sign_activation};
use crate::Membership;

/// The stored shares of an attempt without their secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The attempt.
    pub terms: AttemptTerms,
    /// The root keys that it would give, one for each of its schemes.
    pub roots: Vec<RootKey>,
}

/// What is known of roots whose shares are stored here.
pub(super) struct Candidate {
    roots: Vec<RootKey>,
    hash: B256,
    confirmations: BTreeMap<Identifier, NodeSignature>,
    activations: BTreeMap<Identifier, NodeSignature>,
}

impl Candidate {
    pub(super) fn new(roots: Vec<RootKey>) -> Self {
        let hash = roots_hash(&roots);
        Self { roots, hash, confirmations: BTreeMap::new(), activations: BTreeMap::new() }
    }

    pub(super) fn roots(&self) -> &[RootKey] {
        &self.roots
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

    pub(super) fn early(
        &mut self,
        membership: &Membership,
        attempt: AttemptId,
        confirmations: BTreeMap<Identifier, (B256, NodeSignature)>,
    ) {
        for (from, (roots, signature)) in confirmations {
            // one that does not fit is sent again, and answered then
            let _ = self.confirmed(membership, attempt, from, roots, signature);
        }
    }

    pub(super) fn confirmed(
        &mut self,
        membership: &Membership,
        attempt: AttemptId,
        from: Identifier,
        roots: B256,
        signature: NodeSignature,
    ) -> Result<(), String> {
        let digest = confirm_digest(membership.network, attempt, roots);
        if !signed(membership, from, digest, &signature) {
            return Ok(());
        }
        if roots != self.hash {
            return Err(format!("member {from} confirms other root keys"));
        }
        self.confirmations.insert(from, signature);
        Ok(())
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

    pub(super) fn confirmation(&self, membership: &Membership, attempt: AttemptId) -> Option<Message> {
        let signature = *self.confirmations.get(&membership.me)?;
        Some(Message::Confirm { attempt, roots: self.hash, signature })
    }

    pub(super) fn activate_own(&mut self, membership: &Membership, identity: &NodeKey, attempt: AttemptId) {
        let signature = sign_activation(membership, identity, attempt, &self.roots);
        self.activations.insert(membership.me, signature);
    }

    pub(super) fn activated(
        &mut self,
        membership: &Membership,
        attempt: AttemptId,
        from: Identifier,
        signature: NodeSignature,
    ) {
        let digest = activation_digest(&self.roots, membership.network, membership.epoch, attempt);
        if signed(membership, from, digest, &signature) {
            self.activations.insert(from, signature);
        }
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
