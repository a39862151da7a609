//! From the records of a set of nodes to the one that all of them replay.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use countersign_types::{B256, Identifier, ReadId, Record, RecordEntry, record::MAX_READS};
use serde::{Deserialize, Serialize};

use crate::{Rule, rules};

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
}

impl AgreedEntry {
    /// Which read this is.
    pub fn read(&self) -> ReadId {
        match self {
            Self::Identical { read, .. } => *read,
        }
    }

    /// The rule by which it was agreed.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Identical { .. } => Rule::Identical,
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
    pub ended: Option<Disagreement>,
}

/// The first read on which a set of nodes does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disagreement {
    /// Its position in the records, from 0.
    pub position: usize,
    /// What each node of the set has there; none where its record has ended.
    pub seen: BTreeMap<Identifier, Option<Seen>>,
}

/// What a node has at one position of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    /// Import and arguments.
    pub read: ReadId,
    /// The rule.
    pub rule: Rule,
    /// The value's digest.
    pub value: B256,
}

/// What the nodes of a set agree on. The result does not depend on anything but the records, and an empty
/// set agrees on nothing.
///
/// Positions from [`MAX_READS`] on are not looked at: records are bounded before they come here.
pub fn agree(records: &BTreeMap<Identifier, &Record>) -> AgreedRecord {
    let longest = records.values().map(|record| record.entries.len()).max().unwrap_or(0);
    let mut agreed = AgreedRecord::default();
    for position in 0..longest.min(MAX_READS) {
        match agree_at(records, position) {
            Ok(entry) => agreed.entries.push(entry),
            Err(disagreement) => {
                agreed.ended = Some(disagreement);
                break;
            }
        }
    }
    agreed
}

fn agree_at(records: &BTreeMap<Identifier, &Record>, position: usize) -> Result<AgreedEntry, Disagreement> {
    let entries: BTreeMap<Identifier, &RecordEntry> =
        records.iter().filter_map(|(&node, record)| Some((node, record.entries.get(position)?))).collect();
    let everybody = entries.len() == records.len();
    let kinds: BTreeSet<_> = entries.values().map(|entry| (entry.read(), Rule::of(entry))).collect();
    entries
        .values()
        .next()
        .filter(|_| everybody && kinds.len() == 1)
        .and_then(|first| rules::apply(first, &entries))
        .ok_or_else(|| {
            let seen = records.keys().map(|node| (*node, entries.get(node).map(|entry| Seen::of(entry))));
            Disagreement { position, seen: seen.collect() }
        })
}

impl Seen {
    fn of(entry: &RecordEntry) -> Self {
        Self { read: entry.read(), rule: Rule::of(entry), value: rules::value_digest(entry) }
    }
}

impl Disagreement {
    /// The read, if all nodes of the set that got this far made the same one.
    pub fn read(&self) -> Option<ReadId> {
        self.common(|seen| seen.read)
    }

    /// The rule, if all nodes of the set that got this far used the same one.
    pub fn rule(&self) -> Option<Rule> {
        self.common(|seen| seen.rule)
    }

    fn common<T: PartialEq>(&self, part: impl Fn(&Seen) -> T) -> Option<T> {
        let mut parts = self.seen.values().flatten().map(part);
        let first = parts.next()?;
        parts.all(|other| other == first).then_some(first)
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.seen.values().any(Option::is_none);
        let what = match (ended, self.read(), self.rule()) {
            (true, _, _) => "some nodes did not make it",
            (false, None, _) => "the nodes made different reads",
            (false, Some(_), None) => "the nodes used different rules",
            (false, Some(_), Some(_)) => "the nodes read different values",
        };
        write!(f, "no agreement on read {}: {what}", self.position)
    }
}
