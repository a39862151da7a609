//! A node's record of one run: what it read, in order.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    IdentityError, NetworkId, NodeKey, NodePublicKey, NodeSignature, ReadId, RecordHash, Rule, SessionId,
    canonical, canonical::sol_types, http::FieldValue, http::MAX_FIELDS,
};

/// The most bytes that a record may have, by [`Record::size`]: 8 KiB.
pub const MAX_RECORD_BYTES: usize = 8 << 10;
/// The most reads that a record may hold.
pub const MAX_READS: usize = 40;

/// What an entry takes besides its texts, in bytes: never less than its encoding on the wire.
const ENTRY_BYTES: usize = 72;
/// What a field takes besides its texts, in bytes: never less than its encoding on the wire.
const FIELD_BYTES: usize = 24;

/// One read as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RecordEntry {
    /// A read whose value must be the same everywhere: each node replays its own bytes.
    Identical {
        /// Import and arguments.
        read: ReadId,
        /// The keccak-256 of the value.
        value: B256,
        /// The value's length in bytes.
        length: u32,
    },
    /// A read that is agreed field by field: its projection travels.
    Fields {
        /// Import and arguments, rules included.
        read: ReadId,
        /// The fields in the order of the arguments, at least one.
        fields: Vec<FieldRead>,
    },
}

/// One field of a read, with the rule by which it is agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldRead {
    /// Where it is in the body (RFC 6901).
    pub pointer: String,
    /// How the nodes' values become one.
    pub rule: Rule,
    /// What was there.
    pub value: FieldValue,
}

impl RecordEntry {
    /// Whether its value must be the same everywhere.
    pub fn is_identical(&self) -> bool {
        matches!(self, Self::Identical { .. })
    }

    /// Which read this is.
    pub fn read(&self) -> ReadId {
        match self {
            Self::Identical { read, .. } | Self::Fields { read, .. } => *read,
        }
    }

    /// What it adds to [`Record::size`], in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Identical { .. } => ENTRY_BYTES,
            Self::Fields { fields, .. } => ENTRY_BYTES + fields.iter().map(FieldRead::size).sum::<usize>(),
        }
    }

    fn to_sol(&self) -> sol_types::RecordedRead {
        match self {
            Self::Identical { read, value, length } => {
                sol_types::RecordedRead { read: read.0, value: *value, length: *length, fields: Vec::new() }
            }
            Self::Fields { read, fields } => sol_types::RecordedRead {
                read: read.0,
                value: B256::ZERO,
                length: 0,
                fields: fields.iter().map(FieldRead::to_sol).collect(),
            },
        }
    }
}

impl FieldRead {
    fn size(&self) -> usize {
        let tolerance = self.rule.tolerance().map_or(0, |tolerance| tolerance.abs.to_string().len());
        let value = match &self.value {
            FieldValue::Null | FieldValue::Bool(_) => 1,
            FieldValue::Number(number) => number.to_string().len(),
            FieldValue::Text(text) => text.len(),
        };
        FIELD_BYTES + self.pointer.len() + tolerance + value
    }

    fn to_sol(&self) -> sol_types::FieldRead {
        let (kind, value) = self.value.to_sol();
        sol_types::FieldRead { pointer: self.pointer.clone(), rule: self.rule.to_sol(), kind, value }
    }
}

/// What one node read in one run, in order. A read is identified by its position and its [`ReadId`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record {
    /// The reads, at most [`MAX_READS`].
    pub entries: Vec<RecordEntry>,
}

impl Record {
    /// Its size in bytes: at least that of its encoding on the wire.
    pub fn size(&self) -> usize {
        self.entries.iter().map(RecordEntry::size).sum()
    }

    /// Whether the bounds hold; a record from a peer is checked before anything else is done with it.
    pub fn is_bounded(&self) -> bool {
        let whole = |entry: &RecordEntry| match entry {
            RecordEntry::Identical { .. } => true,
            RecordEntry::Fields { fields, .. } => (1..=MAX_FIELDS).contains(&fields.len()),
        };
        self.entries.len() <= MAX_READS && self.entries.iter().all(whole) && self.size() <= MAX_RECORD_BYTES
    }

    /// Whether all its reads must be the same everywhere: then a node compares with its own, and needs nobody's word
    /// for what others read.
    pub fn is_identical(&self) -> bool {
        self.entries.iter().all(RecordEntry::is_identical)
    }

    /// The record's hash, as it stands in a vote.
    pub fn hash(&self) -> RecordHash {
        let reads = self.entries.iter().map(RecordEntry::to_sol).collect();
        RecordHash(canonical::struct_hash(&sol_types::Record { reads }))
    }

    /// The digest that a node signs when it hands its record to a coordinator.
    pub fn observed_digest(&self, network: NetworkId, session: SessionId) -> B256 {
        canonical::signing_hash(network, &sol_types::Observed { session: session.0, record: self.hash().0 })
    }

    /// Signs that this is what the node read in a session.
    pub fn sign(&self, network: NetworkId, session: SessionId, key: &NodeKey) -> NodeSignature {
        key.sign(self.observed_digest(network, session))
    }

    /// Checks that a node signed that this is what it read in a session.
    pub fn verify(
        &self,
        network: NetworkId,
        session: SessionId,
        node: &NodePublicKey,
        signature: &NodeSignature,
    ) -> Result<(), IdentityError> {
        node.verify(self.observed_digest(network, session), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decimal, Tolerance, http::MAX_TEXT_BYTES};

    fn entry(byte: u8) -> RecordEntry {
        RecordEntry::Identical { read: ReadId::from([byte; 32]), value: B256::repeat_byte(byte), length: 1 }
    }

    fn fields(fields: &[(&str, Rule, FieldValue)]) -> RecordEntry {
        let fields = fields
            .iter()
            .map(|(pointer, rule, value)| FieldRead {
                pointer: (*pointer).into(),
                rule: *rule,
                value: value.clone(),
            })
            .collect();
        RecordEntry::Fields { read: ReadId::from([9; 32]), fields }
    }

    fn record(entries: &[RecordEntry]) -> Record {
        Record { entries: entries.to_vec() }
    }

    #[test]
    fn everything_is_in_the_hash() {
        let median = |bps| Rule::Median(Tolerance { bps, abs: Decimal::ZERO });
        let one = || FieldValue::Number(Decimal::from(1));
        let hashes = [
            record(&[]),
            record(&[entry(1)]),
            record(&[entry(1), entry(2)]),
            record(&[entry(2), entry(1)]),
            record(&[fields(&[("/a", Rule::Mode, one())])]),
            record(&[fields(&[("/b", Rule::Mode, one())])]),
            record(&[fields(&[("/a", Rule::Identical, one())])]),
            record(&[fields(&[("/a", median(1), one())])]),
            record(&[fields(&[("/a", median(2), one())])]),
            record(&[fields(&[("/a", Rule::Mode, FieldValue::Text("1".into()))])]),
            record(&[fields(&[("/a", Rule::Mode, one()), ("/b", Rule::Mode, one())])]),
        ]
        .map(|record| record.hash());
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }

    #[test]
    fn a_record_beyond_its_bounds_is_noticed() {
        let text = |length| FieldValue::Text("x".repeat(length));
        assert!(record(&vec![entry(1); MAX_READS]).is_bounded());
        assert!(!record(&vec![entry(1); MAX_READS + 1]).is_bounded());
        assert!(!record(&[fields(&[])]).is_bounded());
        let wide: Vec<_> = (0..=MAX_FIELDS).map(|_| ("/a", Rule::Mode, FieldValue::Null)).collect();
        assert!(!record(&[fields(&wide)]).is_bounded());
        let long: Vec<_> = (0..8).map(|_| ("/a", Rule::Mode, text(MAX_TEXT_BYTES))).collect();
        assert!(record(&[fields(&long[..7])]).is_bounded());
        assert!(!record(&[fields(&long)]).is_bounded());
    }

    #[test]
    fn a_record_is_signed_for_one_session_of_one_network() {
        let (network, session) = (NetworkId::from([1; 32]), SessionId::from([2; 32]));
        let key = NodeKey::from_bytes([1; 32]).expect("a scalar");
        let signed = record(&[entry(1)]);
        let signature = signed.sign(network, session, &key);
        let check = |record: &Record, network, session| {
            record.verify(network, session, &key.public_key(), &signature)
        };
        assert_eq!(check(&signed, network, session), Ok(()));
        assert!(check(&record(&[entry(2)]), network, session).is_err());
        assert!(check(&signed, NetworkId::from([2; 32]), session).is_err());
        assert!(check(&signed, network, SessionId::from([3; 32])).is_err());
    }
}
