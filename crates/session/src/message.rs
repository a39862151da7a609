//! What travels between members in a signing session.
//!
//! The sender is the connection's, never a field. Every list has a bound that is checked before use.

use std::collections::{BTreeMap, BTreeSet};

pub use countersign_agreement::{MAX_ATTEMPTS, Package, PackageError, SignerPart, shares_hash};
use countersign_threshold::{Commitments, SignatureShare};
use countersign_types::{
    Committee, FailureKind, Identifier, MAX_PAYLOADS, NetworkId, NodeKey, NodePublicKey, NodeSignature,
    Record, Scheme, SessionId, SessionTerms, Signature, SignedRequest, SignedVote, Verdict,
};
use serde::{Deserialize, Serialize};

/// From a coordinator to a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToParticipant {
    /// Open a session: judge the request, run the action live, commit.
    Propose(Box<Proposal>),
    /// Commit afresh for a further attempt.
    Commit {
        /// The session.
        session: SessionId,
        /// The attempt, from 2.
        attempt: u32,
    },
    /// Replay over the agreed record and sign.
    Sign {
        /// What to sign with whom.
        package: Box<Package>,
        /// Whether the answer is to carry the verdict: the coordinator asks one signer only.
        send_verdict: bool,
    },
    /// The session is over: forget it.
    Close {
        /// The session.
        session: SessionId,
        /// What came of it, for those who signed: what they keep.
        signed: Option<Box<Completion>>,
    },
}

/// What makes a signer's own part of a session a receipt. Nothing here is believed: whoever shows a receipt checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The attempt that gave the signatures.
    pub attempt: u32,
    /// What each signer gave.
    pub signers: BTreeMap<Identifier, SignerPart>,
    /// One for each payload.
    pub signatures: Vec<Signature>,
}

impl Completion {
    /// Whether it is no larger than that of a session. To be checked before it is kept.
    pub fn is_bounded(&self, committee: &Committee) -> bool {
        self.signers.len() <= usize::from(committee.size())
            && self.signers.values().all(|part| part.shares.len() <= MAX_PAYLOADS)
            && self.signatures.len() <= MAX_PAYLOADS
    }
}

/// From a participant to the coordinator of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToCoordinator {
    /// What the live run read and decided.
    Observed(Box<Observation>),
    /// It takes no part, or no further part.
    Declined {
        /// The session.
        session: SessionId,
        /// The attempt whose package it does not sign; none: it takes no further part in the session.
        attempt: Option<u32>,
        /// Why.
        decline: Decline,
    },
    /// Commitments for a further attempt.
    Committed {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: u32,
        /// One for each payload.
        commitments: Vec<Commitments>,
    },
    /// Shares and vote.
    Signed(Box<Signed>),
}

impl ToParticipant {
    /// The session that the message belongs to.
    pub fn session(&self, network: NetworkId) -> SessionId {
        match self {
            Self::Propose(proposal) => proposal.terms.id(network),
            Self::Commit { session, .. } | Self::Close { session, .. } => *session,
            Self::Sign { package, .. } => package.session,
        }
    }
}

impl ToCoordinator {
    /// The session that the message belongs to.
    pub fn session(&self) -> SessionId {
        match self {
            Self::Observed(observation) => observation.session,
            Self::Declined { session, .. } | Self::Committed { session, .. } => *session,
            Self::Signed(signed) => signed.vote.vote.session,
        }
    }
}

/// A request and the terms on which the coordinator wants it judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The request, with its callers' signatures.
    pub request: SignedRequest,
    /// Epoch, engine, time and pins.
    pub terms: SessionTerms,
    /// The first attempt's package, where the coordinator expects the receiver to read what it has read itself.
    pub eager: Option<Box<Eager>>,
}

/// A package that travels with the proposal, so that a session takes one round: whoever reads exactly this, and would sign,
/// signs at once. Everybody else answers with an observation, as without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eager {
    /// The [identical](Record::is_identical) record that every signer must have.
    pub record: Record,
    /// Each signer's commitments, one for each payload: those of other members are from [what they handed
    /// out](Preprocess).
    pub signers: BTreeMap<Identifier, Vec<Commitments>>,
}

impl Eager {
    /// Whether it is no larger than one that a receiver can use. To be checked before it is kept.
    pub fn is_bounded(&self, committee: &Committee) -> bool {
        self.record.is_bounded()
            && self.signers.len() <= usize::from(committee.size())
            && self.signers.values().all(|all| (1..=MAX_PAYLOADS).contains(&all.len()))
    }

    /// The package of the first attempt that this stands for.
    pub fn package(self, session: SessionId) -> Package {
        let base: BTreeSet<Identifier> = self.signers.keys().copied().collect();
        let records = base.iter().map(|id| (*id, self.record.clone())).collect();
        Package { session, attempt: 1, base, records, signatures: BTreeMap::new(), signers: self.signers }
    }
}

/// Commitments in advance (RFC 9591 section 5.1): between members, outside any session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preprocess {
    /// Hand out commitments, for sessions that the sender will coordinate.
    Ask {
        /// For keys of this scheme.
        scheme: Scheme,
        /// How many: at most [`MAX_BATCH`](crate::participant::MAX_BATCH) are handed out.
        count: u16,
    },
    /// The sender's commitments, for sessions that the receiver will coordinate.
    HandOut {
        /// For keys of this scheme.
        scheme: Scheme,
        /// Each for one payload, once.
        commitments: Vec<Commitments>,
    },
}

/// What a live run gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The session.
    pub session: SessionId,
    /// What the run read; sent also where it refused, so that no values are left out by outcome.
    pub record: Record,
    /// The node's signature over [`Record::observed_digest`]; exactly if the record is not
    /// [identical](Record::is_identical).
    pub signature: Option<NodeSignature>,
    /// What the run decided. Provisional: only the replay decides, over agreed values. A node whose live run refuses
    /// is not asked to sign.
    pub decision: Provisional,
    /// For the first attempt: one for each payload, none where the run refused.
    pub commitments: Vec<Commitments>,
}

impl Observation {
    /// Signs a record, where its values may differ from others'.
    pub fn sign(
        record: &Record,
        network: NetworkId,
        session: SessionId,
        key: &NodeKey,
    ) -> Option<NodeSignature> {
        (!record.is_identical()).then(|| record.sign(network, session, key))
    }

    /// Whether the record is signed by its node exactly if it must be.
    pub fn is_signed(&self, network: NetworkId, node: &NodePublicKey) -> bool {
        match &self.signature {
            None => self.record.is_identical(),
            Some(signature) => {
                !self.record.is_identical()
                    && self.record.verify(network, self.session, node, signature).is_ok()
            }
        }
    }
}

/// What a live run decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Provisional {
    /// It allows.
    Allow,
    /// It refuses.
    Refuse {
        /// The action's reason.
        reason: String,
    },
}

/// Why a participant takes no part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decline {
    /// Its replay refuses.
    Refused {
        /// The action's reason.
        reason: String,
    },
    /// It cannot, or will not, judge.
    Abstain {
        /// What kind of obstacle.
        kind: FailureKind,
        /// Why, for the caller.
        reason: String,
    },
}

/// A signer's shares and its signed word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The attempt.
    pub attempt: u32,
    /// One share for each payload.
    pub shares: Vec<SignatureShare>,
    /// What its replay gave, where it was asked for it.
    pub verdict: Option<Verdict>,
    /// Session, own record, package, outcome and shares, signed.
    pub vote: SignedVote,
}
