//! What each rule makes of one position, and what it tolerates.

use std::{collections::BTreeMap, fmt};

use countersign_types::{B256, Identifier, RecordEntry};
use serde::{Deserialize, Serialize};

use crate::AgreedEntry;

/// How the values that several nodes read become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Every node read the same bytes; no tolerance.
    Identical,
}

impl Rule {
    /// The rule that a read was made under.
    pub fn of(entry: &RecordEntry) -> Self {
        match entry {
            RecordEntry::Identical { .. } => Self::Identical,
        }
    }

    /// The name, as actions and reports have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What stands for an entry's value in reports: its digest.
pub(crate) fn value_digest(entry: &RecordEntry) -> B256 {
    match entry {
        RecordEntry::Identical { value, .. } => *value,
    }
}

/// The agreed value of one read of the same arguments under one rule, if there is one. Every entry is of the
/// first one's rule and read.
pub(crate) fn apply(
    first: &RecordEntry,
    entries: &BTreeMap<Identifier, &RecordEntry>,
) -> Option<AgreedEntry> {
    match first {
        RecordEntry::Identical { read, value, length } => {
            let same = entries.values().all(|entry| *entry == first);
            same.then_some(AgreedEntry::Identical { read: *read, value: *value, length: *length })
        }
    }
}

/// Whether a node that read `own` accepts the agreed value: same rule, same read, within the tolerance.
pub(crate) fn accepts(agreed: &AgreedEntry, own: &RecordEntry) -> bool {
    match (agreed, own) {
        (
            AgreedEntry::Identical { read, value, length },
            RecordEntry::Identical { read: own_read, value: own_value, length: own_length },
        ) => read == own_read && value == own_value && length == own_length,
    }
}
