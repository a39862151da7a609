//! Why a set of nodes cannot sign, for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use countersign_types::{FieldRead, Identifier, ReadId, Record, RecordEntry, Rule};

use crate::{AgreedEntry, AgreedRecord, Cause, Ended, agree, agree::fields_of, check_own, rules};

/// The longest text that stands for a value in reports, in characters.
pub const MAX_SHOWN: usize = 128;

/// The first read over which a set of nodes cannot sign, and what each of them has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Its position in the records, from 0.
    pub position: usize,
    /// Why.
    pub cause: Cause,
    /// Which field of it, by JSON pointer, where it is about one.
    pub pointer: Option<String>,
    /// The rule, if all nodes have the same one there.
    pub rule: Option<Rule>,
    /// The agreed value, where there is one and not every node accepts it.
    pub agreed: Option<String>,
    /// The nodes that do not accept the agreed value.
    pub against: BTreeSet<Identifier>,
    /// What each node of the set has there; none where its record has ended.
    pub seen: BTreeMap<Identifier, Option<Seen>>,
}

/// What a node has at one position of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Import and arguments.
    pub read: ReadId,
    /// The value as text, at most [`MAX_SHOWN`] characters; its digest where the whole is agreed on.
    pub value: String,
}

/// Whether a set of nodes can sign: they agree to the end of their records, and every one accepts that.
pub fn can_sign(records: &BTreeMap<Identifier, &Record>) -> bool {
    let agreed = agree(records);
    agreed.ended.is_none() && records.values().all(|record| check_own(&agreed, record).is_ok())
}

/// The first read over which a set of nodes cannot sign, if there is one: they do not agree on it, or one of them
/// does not accept what they agree on.
pub fn explain(records: &BTreeMap<Identifier, &Record>) -> Option<Disagreement> {
    let agreed = agree(records);
    not_accepted(&agreed, records).or_else(|| Some(at(agreed.ended?, records)))
}

/// The first agreed field that some node does not accept.
fn not_accepted(agreed: &AgreedRecord, records: &BTreeMap<Identifier, &Record>) -> Option<Disagreement> {
    agreed.entries.iter().enumerate().find_map(|(position, entry)| {
        let AgreedEntry::Fields { fields, .. } = entry else { return None };
        fields.iter().enumerate().find_map(|(index, field)| {
            let against: BTreeSet<Identifier> = records
                .iter()
                .filter(|(_, record)| !accepts_at(record, position, index, field))
                .map(|(id, _)| *id)
                .collect();
            if against.is_empty() {
                return None;
            }
            let ended = Ended { position, field: Some(index), cause: Cause::Tolerance };
            Some(Disagreement { agreed: Some(shown(&field.value)), against, ..at(ended, records) })
        })
    })
}

fn accepts_at(record: &Record, position: usize, index: usize, agreed: &FieldRead) -> bool {
    let own = record.entries.get(position).and_then(|entry| fields_of(entry).get(index));
    own.is_some_and(|own| rules::accepts(&own.rule, &agreed.value, &own.value))
}

/// What everybody has there.
fn at(ended: Ended, records: &BTreeMap<Identifier, &Record>) -> Disagreement {
    let Ended { position, field, cause } = ended;
    let entries = || records.values().filter_map(|record| record.entries.get(position));
    let first = entries().next();
    let rule = match cause {
        Cause::Ended | Cause::Reads | Cause::Rules => None,
        Cause::Values | Cause::NotNumber | Cause::Tie | Cause::Tolerance => {
            first.map(|entry| named(entry, field).map_or(Rule::Identical, |field| field.rule))
        }
    };
    let seen = |record: &&Record| {
        let entry = record.entries.get(position)?;
        let value = named(entry, field).map_or_else(|| whole(entry), |field| shown(&field.value));
        Some(Seen { read: entry.read(), value })
    };
    Disagreement {
        position,
        cause,
        pointer: first.and_then(|entry| named(entry, field)).map(|field| field.pointer.clone()),
        rule,
        agreed: None,
        against: BTreeSet::new(),
        seen: records.iter().map(|(id, record)| (*id, seen(record))).collect(),
    }
}

/// The field that it is about.
fn named(entry: &RecordEntry, field: Option<usize>) -> Option<&FieldRead> {
    fields_of(entry).get(field?)
}

/// What stands for a whole entry: its digest, or its fields.
fn whole(entry: &RecordEntry) -> String {
    match entry {
        RecordEntry::Identical { value, .. } => value.to_string(),
        RecordEntry::Fields { fields, .. } => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", field.pointer, shown(&field.value))).collect();
            cut(&fields.join(", "))
        }
    }
}

/// A value as it stands in reports.
pub(crate) fn shown(value: &impl fmt::Display) -> String {
    cut(&value.to_string())
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

impl Disagreement {
    /// How it comes, in words.
    pub fn reason(&self) -> String {
        let (agreed, against, all) =
            (self.agreed.as_deref().unwrap_or("value"), self.against.len(), self.seen.len());
        match self.cause {
            Cause::Ended => "some nodes did not make it".into(),
            Cause::Reads => "the nodes made different reads".into(),
            Cause::Rules => "the nodes used different rules".into(),
            Cause::Values => "the nodes read different values".into(),
            Cause::NotNumber => "some nodes read what is no number".into(),
            Cause::Tie => "no value is more frequent than all others".into(),
            Cause::Tolerance => match self.rule.and_then(|rule| rule.tolerance()) {
                Some(_) => {
                    format!("the agreed {agreed} is outside the tolerance of {against} of {all} nodes")
                }
                None => format!("{against} of {all} nodes read something else than most, {agreed}"),
            },
        }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no agreement on read {}", self.position)?;
        if let Some(pointer) = &self.pointer {
            write!(f, ", field {pointer:?}")?;
        }
        write!(f, ": {}", self.reason())
    }
}
