//! What a receipt holds, and how it is read from a file.

use std::collections::BTreeMap;

use countersign_agreement::{AgreedEntry, Package, SignerPart};
use countersign_types::{
    Identifier, Manifest, NetworkId, SessionTerms, Signature, SignedRequest, Verdict,
    read::{AgreedError, Read, ReadValue, RecordedRead, WrongValue},
};
use serde::{Deserialize, Serialize};

use crate::exact;

/// The version of the format.
pub const RECEIPT_VERSION: u16 = 1;
/// The most bytes of a receipt as JSON: 8 MiB.
pub const MAX_RECEIPT_BYTES: usize = 8 << 20;

/// Why a signature exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub version: u16,
    /// What was asked, and the callers' signatures. It names network, key and action.
    pub request: SignedRequest,
    /// What the action is and may do; its hash is the action's id.
    pub manifest: Manifest,
    /// On which terms it was judged.
    pub terms: SessionTerms,
    /// What the signers were asked to sign, with whom: everybody's records and commitments.
    pub package: Package,
    /// The reads that were agreed on, in order.
    pub reads: Vec<Reading>,
    /// What the action returned.
    pub verdict: Verdict,
    /// What each signer gave.
    pub signers: BTreeMap<Identifier, SignerPart>,
    /// One for each payload. None in a receipt that its coordinator never completed.
    pub signatures: Vec<Signature>,
}

/// A read: what was asked, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// What was asked.
    pub read: Read,
    /// What came back; none where the nodes agreed field by field, as the agreed fields stand in the records.
    pub value: Option<ReadValue>,
}

impl Reading {
    /// A node's own read, to be kept.
    pub fn of(read: &RecordedRead) -> Self {
        let value = read.entry().is_identical().then(|| read.value().clone());
        Self { read: read.read().clone(), value }
    }

    /// The read as it is replayed, if it is what was agreed on.
    pub(crate) fn agreed(&self, agreed: &AgreedEntry) -> Result<RecordedRead, ReadingError> {
        let read = match (agreed, &self.read, &self.value) {
            (AgreedEntry::Identical { .. }, Read::Evm(read), Some(ReadValue::Evm(value))) => {
                RecordedRead::evm(read.clone(), value.clone())?
            }
            (AgreedEntry::Identical { .. }, Read::Http(read), Some(ReadValue::Http(response))) => {
                RecordedRead::http(read.clone(), response.clone())?
            }
            (AgreedEntry::Fields { fields, .. }, Read::Http(read), None) => {
                RecordedRead::agreed(read.clone(), fields)?
            }
            (AgreedEntry::Identical { .. } | AgreedEntry::Fields { .. }, _, _) => {
                return Err(ReadingError::Sort);
            }
        };
        if AgreedEntry::from(read.entry().clone()) == *agreed { Ok(read) } else { Err(ReadingError::Other) }
    }
}

/// Why a read is not what was agreed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    /// A value where there must be none, none where there must be one, or one of another sort.
    #[error("its value is not of the sort that was agreed on")]
    Sort,
    /// Another question, or another answer.
    #[error("it is not the read whose hash was agreed on")]
    Other,
    /// The value is none of the read's.
    #[error(transparent)]
    Value(#[from] WrongValue),
    /// The agreed fields are none of the read's.
    #[error(transparent)]
    Fields(#[from] AgreedError),
}

/// Why bytes are no receipt.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// More bytes than any receipt has.
    #[error("a receipt has at most {MAX_RECEIPT_BYTES} bytes, this has {got}")]
    TooLong {
        /// How many there are.
        got: usize,
    },
    /// Of a version that this program does not know.
    #[error("the receipt is of version {got}, this program knows {RECEIPT_VERSION}: use a newer one")]
    Version {
        /// The version.
        got: u16,
    },
    /// Not of the form.
    #[error("this is no receipt")]
    Form(#[source] serde_json::Error),
}

/// What every version begins with.
#[derive(Deserialize)]
struct Versioned {
    version: u16,
}

impl Receipt {
    /// Reads a receipt from JSON that holds nothing else.
    pub fn from_json(json: &[u8]) -> Result<Self, DecodeError> {
        if json.len() > MAX_RECEIPT_BYTES {
            return Err(DecodeError::TooLong { got: json.len() });
        }
        let Versioned { version } = serde_json::from_slice(json).map_err(DecodeError::Form)?;
        if version != RECEIPT_VERSION {
            return Err(DecodeError::Version { got: version });
        }
        let receipt: Self = serde_json::from_slice(json).map_err(DecodeError::Form)?;
        let read = serde_json::to_value(&receipt).map_err(DecodeError::Form)?;
        exact::check(json, &read).map_err(DecodeError::Form)?;
        Ok(receipt)
    }

    /// About how many bytes of memory it takes to keep it.
    pub fn held_bytes(&self) -> usize {
        let asked = &self.request.request;
        let reads = self.reads.iter().map(|reading| {
            let value = match &reading.value {
                Some(ReadValue::Http(response)) => response.body.len(),
                Some(ReadValue::Evm(value)) => value.held_bytes(),
                None => 0,
            };
            reading.read.held_bytes() + value
        });
        let records = self.package.records.values().map(|record| 2 * record.size());
        let signers = self.signers.len() * 1024;
        let request = asked.params.len() + asked.key.policy.config.len();
        4096 + request + reads.sum::<usize>() + records.sum::<usize>() + signers + self.verdict.held_bytes()
    }

    /// The network that was asked.
    pub fn network(&self) -> NetworkId {
        self.request.request.network
    }

    /// Whether it holds signatures, and not one signer's word alone.
    pub fn is_complete(&self) -> bool {
        !self.signatures.is_empty()
    }
}
