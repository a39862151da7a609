//! A node's record of one run: what it read, in order.

use alloy_primitives::B256;
use alloy_sol_types::SolStruct;
use serde::{Deserialize, Serialize};

use crate::{ReadId, RecordHash, canonical::sol_types};

/// The most bytes that a record may have on the wire: 8 KiB.
pub const MAX_RECORD_BYTES: usize = 8 << 10;
/// The most reads that a record may hold.
pub const MAX_READS: usize = 40;

/// One read as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl RecordEntry {
    /// Which read this is.
    pub fn read(&self) -> ReadId {
        match self {
            Self::Identical { read, .. } => *read,
        }
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
    /// Whether the bounds hold; a record from a peer is checked before anything else is done with it.
    pub fn is_bounded(&self) -> bool {
        self.entries.len() <= MAX_READS
    }

    /// The record's hash, as it stands in a vote.
    pub fn hash(&self) -> RecordHash {
        let reads = self
            .entries
            .iter()
            .map(|entry| match entry {
                RecordEntry::Identical { read, value, length } => {
                    sol_types::IdenticalRead { read: read.0, value: *value, length: *length }
                }
            })
            .collect();
        RecordHash(sol_types::Record { reads }.eip712_hash_struct())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(byte: u8) -> RecordEntry {
        RecordEntry::Identical { read: ReadId::from([byte; 32]), value: B256::repeat_byte(byte), length: 1 }
    }

    #[test]
    fn order_and_values_are_in_the_hash() {
        let record = |entries: &[RecordEntry]| Record { entries: entries.to_vec() }.hash();
        let hashes =
            [record(&[]), record(&[entry(1)]), record(&[entry(1), entry(2)]), record(&[entry(2), entry(1)])];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }
}
