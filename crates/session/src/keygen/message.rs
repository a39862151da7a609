//! What travels in key generation, and the digests that its senders sign.

use alloy_primitives::keccak256;
use alloy_sol_types::SolStruct;
use countersign_threshold::dkg::PrivatePackage;
use countersign_types::{
    Activation, AttemptId, AttemptTerms, B256, Bytes, Identifier, NetworkId, NodeSignature,
    canonical::{domain, sol_types},
};
use serde::{Deserialize, Serialize};

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
    /// Commitments and proof of possession, to everybody.
    Round1 {
        /// The attempt.
        attempt: AttemptId,
        /// The package.
        package: Bytes,
        /// Over attempt, round, sender and package.
        signature: NodeSignature,
    },
    /// All round-1 packages that the sender saw, by digest and signature, in the order of the identifiers.
    Echo {
        /// The attempt.
        attempt: AttemptId,
        /// One for each member.
        packages: Vec<(B256, NodeSignature)>,
    },
    /// The share that the sender deals to the receiver.
    Round2 {
        /// The attempt.
        attempt: AttemptId,
        /// The package: secret.
        package: PrivatePackage,
        /// Over attempt, round, sender, receiver and package.
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
    /// The sender has stored its pending share of this root.
    Confirm {
        /// The attempt.
        attempt: AttemptId,
        /// The hash of the root key.
        root: B256,
        /// Over attempt and root.
        signature: NodeSignature,
    },
    /// The sender activates the root of this attempt, and no other.
    Activate {
        /// The attempt.
        attempt: AttemptId,
        /// All confirmations, in the order of the identifiers.
        confirmations: Vec<NodeSignature>,
        /// Over network, epoch, attempt and root.
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

/// A round-2 package with its sender's signature: whoever holds the sender's broadcast can judge it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Who dealt it.
    pub dealer: Identifier,
    /// The package; no longer secret, since the attempt is over.
    pub package: PrivatePackage,
    /// The dealer's signature.
    pub signature: NodeSignature,
}

/// What a sender signs for a package: to everybody where `to` is none.
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
    package.eip712_signing_hash(&domain(network))
}

/// The digest of a private package, as it is signed.
pub(super) fn private_content(package: &PrivatePackage) -> B256 {
    keccak256(package.as_bytes())
}

/// What a member signs when it confirms a root.
pub(super) fn confirm_digest(network: NetworkId, attempt: AttemptId, root: B256) -> B256 {
    sol_types::Confirm { attempt: attempt.0, root }.eip712_signing_hash(&domain(network))
}
