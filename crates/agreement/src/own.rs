//! A node's own record against what others agreed on.

use countersign_types::{
    FieldRead, ReadId, Record, RecordEntry, Rule,
    mutant::{Mutant, broken},
};

use crate::{AgreedEntry, AgreedRecord, explain::shown, rules};

/// Why a node does not accept an agreed record: the first agreed read that does not stand in its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnMismatch {
    /// The node's own run made fewer reads.
    #[error("the agreed read {position} is beyond the end of the own record, which has {length}")]
    Ended {
        /// The read's position, from 0.
        position: usize,
        /// How many reads the own record has.
        length: usize,
    },
    /// The node's own run made another read there.
    #[error("the agreed read {position} is {agreed}, the own is {own}")]
    Read {
        /// The read's position, from 0.
        position: usize,
        /// What was agreed on.
        agreed: ReadId,
        /// What this node read.
        own: ReadId,
    },
    /// The own record has other fields, or rules, under the same id.
    #[error("the agreed read {position} has other fields or rules than the own")]
    Rules {
        /// The read's position, from 0.
        position: usize,
        /// The read.
        read: ReadId,
    },
    /// The node read something else where all must read the same.
    #[error("the agreed value of read {position} is not that of the own record")]
    Value {
        /// The read's position, from 0.
        position: usize,
        /// The read.
        read: ReadId,
    },
    /// The node read a value from which the agreed one is too far.
    #[error(
        "the agreed value {agreed} of read {position}, field {pointer:?}, is too far from the own, {own}, by the rule {rule}"
    )]
    Field {
        /// The read's position, from 0.
        position: usize,
        /// Which field.
        pointer: String,
        /// The rule.
        rule: Box<Rule>,
        /// The agreed value, cut.
        agreed: String,
        /// The own value, cut.
        own: String,
    },
}

/// Checks that every agreed read stands, by position, arguments and rule and within the rule's tolerance, in a
/// node's own record. What the own record holds beyond the agreed one does not matter.
pub fn check_own(agreed: &AgreedRecord, own: &Record) -> Result<(), OwnMismatch> {
    agreed.entries.iter().enumerate().try_for_each(|(position, entry)| check_at(position, entry, own))
}

fn check_at(position: usize, agreed: &AgreedEntry, own: &Record) -> Result<(), OwnMismatch> {
    let length = own.entries.len();
    let is_made = own.entries.get(position).is_some_and(|entry| entry.read() == agreed.read());
    if broken(Mutant::AcceptsUnmadeReads) && !is_made {
        return Ok(());
    }
    let entry = own.entries.get(position).ok_or(OwnMismatch::Ended { position, length })?;
    if entry.read() != agreed.read() {
        return Err(OwnMismatch::Read { position, agreed: agreed.read(), own: entry.read() });
    }
    let read = agreed.read();
    match (agreed, entry) {
        (
            AgreedEntry::Identical { value, length, .. },
            RecordEntry::Identical { value: own_value, length: own_length, .. },
        ) => {
            let same = value == own_value && length == own_length;
            if same { Ok(()) } else { Err(OwnMismatch::Value { position, read }) }
        }
        (AgreedEntry::Fields { fields, .. }, RecordEntry::Fields { fields: own, .. })
            if fields.len() == own.len() =>
        {
            fields.iter().zip(own).try_for_each(|(agreed, own)| check_field(position, read, agreed, own))
        }
        (AgreedEntry::Identical { .. } | AgreedEntry::Fields { .. }, _) => {
            Err(OwnMismatch::Rules { position, read })
        }
    }
}

fn check_field(
    position: usize,
    read: ReadId,
    agreed: &FieldRead,
    own: &FieldRead,
) -> Result<(), OwnMismatch> {
    if agreed.pointer != own.pointer || agreed.rule != own.rule {
        return Err(OwnMismatch::Rules { position, read });
    }
    if broken(Mutant::SkipsTolerance) || rules::accepts(&own.rule, &agreed.value, &own.value) {
        return Ok(());
    }
    Err(OwnMismatch::Field {
        position,
        pointer: own.pointer.clone(),
        rule: Box::new(own.rule),
        agreed: shown(&agreed.value),
        own: shown(&own.value),
    })
}
