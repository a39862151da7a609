//! What travels in key generation, and the digests that its senders sign.

use alloy_primitives::keccak256;
use countersign_threshold::dkg::PrivatePackage;
use countersign_types::{
    Activation, AttemptId, AttemptTerms, B256, Bytes, Identifier, NetworkId, NodeKey, NodeSignature, Scheme,
    canonical::{signing_hash, sol_types},
};
use serde::{Deserialize, Serialize};

use crate::Membership;

/// The most bytes of a reason for giving up; longer ones are cut.
pub const MAX_REASON_BYTES: usize = 512;

/// A message of key generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The first member starts an attempt.
    Start {
        /// What the attempt is; its hash is its id.
        terms: AttemptTerms,
    },
    /// Commitments and proofs of possession, to everybody.
    Round1 {
        /// The attempt.
        attempt: AttemptId,
        /// One package for each scheme of the attempt, in their order.
        packages: Vec<Bytes>,
        /// Over attempt, round, sender and packages.
        signature: NodeSignature,
    },
    /// The round-1 packages of all that the sender saw, by digest and signature, in the order of the identifiers.
    Echo {
        /// The attempt.
        attempt: AttemptId,
        /// One for each member: the digest of its packages, and its signature.
        packages: Vec<(B256, NodeSignature)>,
    },
    /// The shares that the sender deals to the receiver.
    Round2 {
        /// The attempt.
        attempt: AttemptId,
        /// One package for each scheme of the attempt, in their order: secret.
        packages: Vec<PrivatePackage>,
        /// Over attempt, round, sender, receiver and packages.
        signature: NodeSignature,
    },
    /// The sender gives the attempt up.
    Abort {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        reason: String,
        /// A package that does not match its sender's broadcast, for everybody to see.
        complaint: Option<Box<Complaint>>,
    },
    /// The sender has stored its pending shares of these roots (K7).
    Confirm {
        /// What the attempt is, so that a member that knows nothing of it can tell that it never will.
        terms: AttemptTerms,
        /// The hash of all root keys.
        roots: B256,
        /// Over attempt and roots.
        signature: NodeSignature,
    },
    /// A member never confirms the attempt (K8). Anybody may hand it on.
    Refuse(Refusal),
    /// The sender activates the roots of this attempt, and of no other for any of its schemes.
    Activate {
        /// The attempt.
        attempt: AttemptId,
        /// All confirmations, in the order of the identifiers.
        confirmations: Vec<NodeSignature>,
        /// Over network, epoch, attempt and roots.
        signature: NodeSignature,
    },
    /// All have activated.
    Activated(Box<Activation>),
}

impl Message {
    pub(super) fn abort(attempt: AttemptId, reason: String) -> Self {
        Self::Abort { attempt, reason, complaint: None }
    }
}

/// A member's signed word that it never confirms an attempt: so nobody ever activates it. A member signs that, or a
/// confirmation, never both; two such signatures prove that it broke the protocol, or lost its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The attempt.
    pub attempt: AttemptId,
    /// The member.
    pub by: Identifier,
    /// Over the attempt.
    pub signature: NodeSignature,
}

impl Refusal {
    pub(super) fn sign(membership: &Membership, identity: &NodeKey, attempt: AttemptId) -> Self {
        let signature = identity.sign(refuse_digest(membership.network, attempt));
        Self { attempt, by: membership.me, signature }
    }

    pub(super) fn is_signed(&self, membership: &Membership) -> bool {
        let digest = refuse_digest(membership.network, self.attempt);
        let member = membership.committee.member(self.by);
        member.is_some_and(|member| member.verify(digest, &self.signature).is_ok())
    }
}

/// A round-2 package with its sender's signature: whoever holds the sender's broadcast can judge it.
///
/// The signature covers the packages of all schemes. Only the one in question is shown; of the others, the hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Who dealt it.
    pub dealer: Identifier,
    /// Which of the attempt's schemes it is for.
    pub scheme: Scheme,
    /// The package; no longer secret, since the attempt is over.
    pub package: PrivatePackage,
    /// The hashes of the packages of all schemes, in their order.
    pub hashes: Vec<B256>,
    /// The dealer's signature.
    pub signature: NodeSignature,
}

/// What a sender signs for its packages: to everybody where `to` is none.
pub(super) fn package_digest(
    network: NetworkId,
    attempt: AttemptId,
    from: Identifier,
    to: Option<Identifier>,
    content: B256,
) -> B256 {
    let package = sol_types::KeyGenerationPackage {
        attempt: attempt.0,
        round: if to.is_none() { 1 } else { 2 },
        from: from.get(),
        to: to.map_or(0, Identifier::get),
        content,
    };
    signing_hash(network, &package)
}

/// The hash of each package.
pub(super) fn hashes(packages: &[impl AsRef<[u8]>]) -> Vec<B256> {
    packages.iter().map(keccak256).collect()
}

/// What stands for the packages of all schemes in a signature: the hash of their hashes, so that one can be shown
/// without the others.
pub(super) fn content(hashes: &[B256]) -> B256 {
    let all: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    keccak256(all)
}

/// What a member signs when it confirms the roots of an attempt.
pub(super) fn confirm_digest(network: NetworkId, attempt: AttemptId, roots: B256) -> B256 {
    signing_hash(network, &sol_types::Confirm { attempt: attempt.0, roots })
}

/// What a member signs when it will never confirm an attempt.
fn refuse_digest(network: NetworkId, attempt: AttemptId) -> B256 {
    signing_hash(network, &sol_types::Refuse { attempt: attempt.0 })
}

#[cfg(test)]
mod vectors;
