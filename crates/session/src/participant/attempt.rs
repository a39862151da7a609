//! One attempt's nonces, from commitment to answer. They move by value and are used at most once.

use countersign_threshold::{Commitments, SigningNonces};
#[cfg(countersign_mutants)]
use countersign_types::Identifier;
use countersign_types::{Failure, FailureKind, NodeKey, Outcome, PackageHash, Vote};

use super::{judge, keys::KeyPair};
use crate::{
    Membership,
    message::{Package, Signed, ToCoordinator, shares_hash},
};

/// Where an attempt is. Nonces leave `Committed` once, and `Replaying` once.
pub(super) enum Attempt {
    /// Nonces wait for a package.
    Committed { nonces: Vec<SigningNonces>, commitments: Vec<Commitments> },
    /// Nonces are bound to one package while the action is replayed.
    Replaying(Box<Replaying>),
    /// The nonces are gone, with a share or without; the same package gets the same answer.
    Answered { package: PackageHash, answer: Box<ToCoordinator> },
}

/// Nonces bound to a package.
pub(super) struct Replaying {
    nonces: Vec<SigningNonces>,
    package: Package,
    hash: PackageHash,
    send_verdict: bool,
}

impl Attempt {
    /// Binds the nonces to a package that lists this node's commitments as it made them.
    pub(super) fn bind(
        self,
        membership: &Membership,
        package: Package,
        hash: PackageHash,
        send_verdict: bool,
    ) -> (Self, Result<(), String>) {
        match self {
            Self::Committed { nonces, commitments } => {
                #[cfg(countersign_mutants)]
                let package = crate::mutant::corrected(membership.me, package, &commitments);
                if package.signers.get(&membership.me) == Some(&commitments) {
                    (Self::Replaying(Box::new(Replaying { nonces, package, hash, send_verdict })), Ok(()))
                } else {
                    let reason = "the package does not hold the commitments that this node made";
                    (Self::Committed { nonces, commitments }, Err(reason.into()))
                }
            }
            used @ (Self::Replaying(_) | Self::Answered { .. }) => {
                (used, Err("this attempt's commitments are used: ask for a further attempt".into()))
            }
        }
    }
}

impl Replaying {
    /// The package's hash.
    pub(super) fn package(&self) -> PackageHash {
        self.hash
    }

    /// The nonces as they were before they were bound: for mutants.
    #[cfg(countersign_mutants)]
    pub(super) fn unbound(&self, me: Identifier) -> Attempt {
        let nonces = self.nonces.iter().map(SigningNonces::copied).collect();
        Attempt::Committed { nonces, commitments: self.package.signers.get(&me).cloned().unwrap_or_default() }
    }

    /// Signs the outcome of this node's own replay; consumes the nonces. Gives the package back, for a receipt.
    pub(super) fn sign(
        self,
        membership: &Membership,
        identity: &NodeKey,
        keys: &KeyPair,
        outcome: &Outcome,
    ) -> Result<(Box<Signed>, Package), Failure> {
        let messages = outcome.messages();
        let Self { nonces, package, hash, send_verdict } = self;
        if messages.len() != nonces.len() {
            let detail = format!(
                "the replay signs {} payloads, the live run committed to {}",
                messages.len(),
                nonces.len()
            );
            return Err(Failure::new(FailureKind::Disagreement, detail));
        }
        let mut shares = Vec::with_capacity(messages.len());
        for (index, (nonces, message)) in nonces.into_iter().zip(messages).enumerate() {
            let signing = package.signing(index, message);
            shares.push(nonces.sign(&signing, &keys.share).map_err(judge::internal)?);
        }
        let record = package.records.get(&membership.me).map(|record| record.hash());
        let Some(record) = record else { return Err(judge::internal("own record missing")) };
        let vote = Vote {
            session: package.session,
            record,
            package: hash,
            outcome: outcome.hash(),
            shares: shares_hash(&shares),
        };
        let verdict = send_verdict.then(|| outcome.verdict());
        let vote = vote.sign(membership.network, identity);
        Ok((Box::new(Signed { attempt: package.attempt, shares, verdict, vote }), package))
    }
}
