//! From the records of a set of nodes to the one that all of them replay.

use std::collections::BTreeMap;

use countersign_types::{
    B256, FieldRead, Identifier, ReadId, Record, RecordEntry, http::FieldValue, record::MAX_READS,
};
use serde::{Deserialize, Serialize};

use crate::rules;

/// An agreed read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgreedEntry {
    /// The same bytes everywhere: each node replays its own.
    Identical {
        /// Import and arguments.
        read: ReadId,
        /// The keccak-256 of the value.
        value: B256,
        /// The value's length in bytes.
        length: u32,
    },
    /// Agreed field by field: each node replays the agreed values.
    Fields {
        /// Import and arguments, rules included.
        read: ReadId,
        /// The fields in the order of the arguments, with their agreed values.
        fields: Vec<FieldRead>,
    },
}

impl From<RecordEntry> for AgreedEntry {
    /// What those agree on who all have this entry.
    fn from(entry: RecordEntry) -> Self {
        match entry {
            RecordEntry::Identical { read, value, length } => Self::Identical { read, value, length },
            RecordEntry::Fields { read, fields } => Self::Fields { read, fields },
        }
    }
}

impl AgreedEntry {
    /// Which read this is.
    pub fn read(&self) -> ReadId {
        match self {
            Self::Identical { read, .. } | Self::Fields { read, .. } => *read,
        }
    }
}

/// What a set of nodes agrees on: the reads up to the first on which it does not. A replay that asks for a
/// read beyond the end is a disagreement, never a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgreedRecord {
    /// The agreed reads, in order; at most [`MAX_READS`].
    pub entries: Vec<AgreedEntry>,
    /// Why there are no more of them; none if every record of the set ends here.
    pub ended: Option<Ended>,
}

/// Where an agreed record ends before the records do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The position in the records, from 0.
    pub position: usize,
    /// Which of the read's fields, from 0, where it is about one.
    pub field: Option<usize>,
    /// Why.
    pub cause: Cause,
}

/// Why a set of nodes cannot sign over a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// Some records have ended there.
    Ended,
    /// The nodes made different reads.
    Reads,
    /// Under one id, the nodes' records have other fields or rules: somebody lies.
    Rules,
    /// The values differ where they must not.
    Values,
    /// Under a rule about numbers, some value is none: somebody lies.
    NotNumber,
    /// No value is more frequent than all others.
    Tie,
    /// There is an agreed value, and not every node accepts it.
    Tolerance,
}

/// What the nodes of a set agree on. The result does not depend on anything but the records, and an empty
/// set agrees on nothing. Whether every node of the set accepts it is another question ([`crate::check_own`]).
///
/// Positions from [`MAX_READS`] on are not looked at: records are bounded before they come here.
pub fn agree(records: &BTreeMap<Identifier, &Record>) -> AgreedRecord {
    let longest = records.values().map(|record| record.entries.len()).max().unwrap_or(0);
    let mut agreed = AgreedRecord::default();
    for position in 0..longest.min(MAX_READS) {
        let entries: Vec<Option<&RecordEntry>> =
            records.values().map(|record| record.entries.get(position)).collect();
        match agree_at(&entries) {
            Ok(entry) => agreed.entries.push(entry),
            Err((field, cause)) => {
                agreed.ended = Some(Ended { position, field, cause });
                break;
            }
        }
    }
    agreed
}

fn agree_at(entries: &[Option<&RecordEntry>]) -> Result<AgreedEntry, (Option<usize>, Cause)> {
    let entries: Vec<&RecordEntry> =
        entries.iter().copied().collect::<Option<_>>().ok_or((None, Cause::Ended))?;
    let (first, others) = entries.split_first().ok_or((None, Cause::Ended))?;
    if others.iter().any(|other| other.read() != first.read()) {
        return Err((None, Cause::Reads));
    }
    if others.iter().any(|other| !is_same_question(first, other)) {
        return Err((None, Cause::Rules));
    }
    match first {
        RecordEntry::Identical { read, value, length } => {
            if others.iter().all(|other| other == first) {
                Ok(AgreedEntry::Identical { read: *read, value: *value, length: *length })
            } else {
                Err((None, Cause::Values))
            }
        }
        RecordEntry::Fields { read, fields } => {
            let fields: Result<Vec<FieldRead>, _> = fields
                .iter()
                .enumerate()
                .map(|(index, field)| {
                    agree_field(field, &entries, index).map_err(|cause| (Some(index), cause))
                })
                .collect();
            Ok(AgreedEntry::Fields { read: *read, fields: fields? })
        }
    }
}

fn agree_field(field: &FieldRead, entries: &[&RecordEntry], index: usize) -> Result<FieldRead, Cause> {
    let values: Vec<&FieldValue> =
        entries.iter().filter_map(|entry| fields_of(entry).get(index)).map(|field| &field.value).collect();
    let value = rules::apply(&field.rule, &values)?;
    Ok(FieldRead { pointer: field.pointer.clone(), rule: field.rule, value })
}

/// Whether two entries ask for the same fields by the same rules. Honest records with one id always do.
pub(crate) fn is_same_question(one: &RecordEntry, other: &RecordEntry) -> bool {
    match (one, other) {
        (RecordEntry::Identical { .. }, RecordEntry::Identical { .. }) => true,
        (RecordEntry::Fields { fields: one, .. }, RecordEntry::Fields { fields: other, .. }) => {
            let same = |(one, other): (&FieldRead, &FieldRead)| {
                one.pointer == other.pointer && one.rule == other.rule
            };
            one.len() == other.len() && one.iter().zip(other).all(same)
        }
        (RecordEntry::Identical { .. }, RecordEntry::Fields { .. })
        | (RecordEntry::Fields { .. }, RecordEntry::Identical { .. }) => false,
    }
}

/// The fields of an entry; none where the whole is agreed on.
pub(crate) fn fields_of(entry: &RecordEntry) -> &[FieldRead] {
    match entry {
        RecordEntry::Identical { .. } => &[],
        RecordEntry::Fields { fields, .. } => fields,
    }
}
