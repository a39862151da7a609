//! What a threshold of members is asked to sign: whose records, with whose commitments.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::keccak256;
use countersign_threshold::{Commitments, SignatureShare, SigningPackage};
use countersign_types::{
    B256, Bytes, Committee, Identifier, MAX_PAYLOADS, NetworkId, NodeSignature, PackageHash, Record,
    SessionId, SignedVote,
    canonical::{signing_hash, sol_types},
    mutant::{Mutant, broken},
};
use serde::{Deserialize, Serialize};

/// The most attempts at signing in one session.
pub const MAX_ATTEMPTS: u32 = 16;

/// What a signer is asked to sign, and with whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

    /// What FROST signs for one payload: everybody's commitments for it, and the message.
    pub fn signing(&self, index: usize, message: Bytes) -> SigningPackage {
        let one = |(id, commitments): (&Identifier, &Vec<Commitments>)| {
            Some((*id, commitments.get(index)?.clone()))
        };
        SigningPackage::new(self.signers.iter().filter_map(one).collect(), message)
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

/// What one signer gives for a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerPart {
    /// Its word.
    pub vote: SignedVote,
    /// Its shares, one for each payload.
    pub shares: Vec<SignatureShare>,
}

/// The hash of shares as it stands in a vote: the keccak-256 of their concatenation, in payload order.
pub fn shares_hash(shares: &[SignatureShare]) -> B256 {
    let bytes: Vec<u8> = shares.iter().flat_map(|share| share.as_bytes().iter().copied()).collect();
    keccak256(bytes)
}
