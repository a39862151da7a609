//! What travels between members in a signing session.
//!
//! The sender is the connection's, never a field. Every list has a bound that is checked before use.

use std::collections::{BTreeMap, BTreeSet};

use countersign_threshold::{Commitments, SignatureShare};
use countersign_types::{
    B256, Committee, FailureKind, Identifier, MAX_PAYLOADS, NetworkId, NodeKey, NodePublicKey, NodeSignature,
    PackageHash, Record, Scheme, SessionId, SessionTerms, SignedRequest, SignedVote, Verdict,
    canonical::{signing_hash, sol_types},
    mutant::{Mutant, broken},
};
use serde::{Deserialize, Serialize};

/// The most attempts at signing in one session.
pub const MAX_ATTEMPTS: u32 = 16;

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
    },
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
            Self::Commit { session, .. } | Self::Close { session } => *session,
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

/// What a signer is asked to sign, and with whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The session.
    pub session: SessionId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The members whose records make the agreed record; the same in every attempt.
    pub base: BTreeSet<Identifier>,
    /// The records of base and signers.
    pub records: BTreeMap<Identifier, Record>,
    /// Their nodes' signatures, of exactly the records that are not [identical](Record::is_identical). They are no part
    /// of the package's hash, which holds the records themselves.
    pub signatures: BTreeMap<Identifier, NodeSignature>,
    /// Each signer's commitments, one for each payload.
    pub signers: BTreeMap<Identifier, Vec<Commitments>>,
}

/// Why a package is malformed: its coordinator misbehaves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The attempt's number is out of range.
    #[error("attempts are 1 to {MAX_ATTEMPTS}, got {got}")]
    Attempt {
        /// The number.
        got: u32,
    },
    /// Too few signers, or too few records behind the agreed record.
    #[error("a package needs at least {threshold} signers and records, got {signers} and {records}")]
    TooFew {
        /// The threshold.
        threshold: u16,
        /// How many signers.
        signers: usize,
        /// How many members are in the base.
        records: usize,
    },
    /// A member that does not exist.
    #[error("member {got} is not in the committee")]
    Member {
        /// The identifier.
        got: Identifier,
    },
    /// Records are not exactly those of base and signers.
    #[error("the records are not those of base and signers")]
    Records,
    /// A record beyond its bounds.
    #[error("the record of member {of} is beyond its bounds")]
    Record {
        /// Whose.
        of: Identifier,
    },
    /// A record whose signature is missing, or one that needs none.
    #[error("the signatures are not those of the records whose values may differ")]
    Signatures,
    /// Signers committed to different numbers of payloads, to none, or to too many.
    #[error("the signers committed to different numbers of payloads, or not to 1 to {MAX_PAYLOADS}")]
    Commitments,
}

impl Package {
    /// Checks everything that does not need the receiver's own state.
    pub fn validate(&self, committee: &Committee) -> Result<(), PackageError> {
        if !(1..=MAX_ATTEMPTS).contains(&self.attempt) {
            return Err(PackageError::Attempt { got: self.attempt });
        }
        let threshold = committee.threshold();
        let is_small = self.base.len() < usize::from(threshold) && !broken(Mutant::AcceptsSmallBase);
        if self.signers.len() < usize::from(threshold) || is_small {
            return Err(PackageError::TooFew {
                threshold,
                signers: self.signers.len(),
                records: self.base.len(),
            });
        }
        let members: BTreeSet<Identifier> = self.base.iter().chain(self.signers.keys()).copied().collect();
        let stranger = members.iter().find(|id| committee.member(**id).is_none());
        if let Some(got) = stranger.filter(|_| !broken(Mutant::AcceptsStrangers)) {
            return Err(PackageError::Member { got: *got });
        }
        if !self.records.keys().eq(members.iter()) {
            return Err(PackageError::Records);
        }
        if let Some((of, _)) = self.records.iter().find(|(_, record)| !record.is_bounded()) {
            return Err(PackageError::Record { of: *of });
        }
        let differing = self.records.iter().filter(|(_, record)| !record.is_identical()).map(|(id, _)| id);
        if !differing.eq(self.signatures.keys()) {
            return Err(PackageError::Signatures);
        }
        let mut counts = self.signers.values().map(Vec::len);
        let first = counts.next().unwrap_or(0);
        if !(1..=MAX_PAYLOADS).contains(&first) || counts.any(|count| count != first) {
            return Err(PackageError::Commitments);
        }
        Ok(())
    }

    /// The records behind the agreed record.
    pub fn base_records(&self) -> BTreeMap<Identifier, &Record> {
        self.records.iter().filter(|(id, _)| self.base.contains(id)).map(|(id, r)| (*id, r)).collect()
    }

    /// How many payloads the signers committed to.
    pub fn payloads(&self) -> usize {
        self.signers.values().next().map_or(0, Vec::len)
    }

    /// The package's hash, as it stands in a vote.
    pub fn hash(&self, network: NetworkId) -> PackageHash {
        let records = self
            .records
            .iter()
            .map(|(id, record)| sol_types::SignerRecord { signer: id.get(), record: record.hash().0 })
            .collect();
        let signers = self
            .signers
            .iter()
            .map(|(id, commitments)| sol_types::SignerCommitments {
                signer: id.get(),
                commitments: commitments.iter().map(|c| c.as_bytes().to_vec().into()).collect(),
            })
            .collect();
        let package = sol_types::Package {
            session: self.session.0,
            attempt: self.attempt,
            base: self.base.iter().map(|id| id.get()).collect(),
            records,
            signers,
        };
        PackageHash(signing_hash(network, &package))
    }
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

/// The hash of shares as it stands in a vote: the keccak-256 of their concatenation, in payload order.
pub fn shares_hash(shares: &[SignatureShare]) -> B256 {
    let bytes: Vec<u8> = shares.iter().flat_map(|share| share.as_bytes().iter().copied()).collect();
    alloy_primitives::keccak256(bytes)
}
