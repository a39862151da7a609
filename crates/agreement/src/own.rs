//! A node's own record against what others agreed on.

use countersign_types::{ReadId, Record};

use crate::{AgreedEntry, AgreedRecord, Rule, rules};

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
    /// The node read a value from which the agreed one is too far.
    #[error("the agreed value of read {position} is not, by the rule {rule}, that of the own record")]
    Value {
        /// The read's position, from 0.
        position: usize,
        /// The rule.
        rule: Rule,
        /// The read.
        read: ReadId,
    },
}

/// Checks that every agreed read stands, by position, arguments and rule and within the rule's tolerance, in a
/// node's own record. What the own record holds beyond the agreed one does not matter.
pub fn check_own(agreed: &AgreedRecord, own: &Record) -> Result<(), OwnMismatch> {
    agreed.entries.iter().enumerate().try_for_each(|(position, entry)| check_at(position, entry, own))
}

fn check_at(position: usize, agreed: &AgreedEntry, own: &Record) -> Result<(), OwnMismatch> {
    let length = own.entries.len();
    let entry = own.entries.get(position).ok_or(OwnMismatch::Ended { position, length })?;
    if entry.read() != agreed.read() {
        return Err(OwnMismatch::Read { position, agreed: agreed.read(), own: entry.read() });
    }
    if rules::accepts(agreed, entry) {
        Ok(())
    } else {
        Err(OwnMismatch::Value { position, rule: agreed.rule(), read: agreed.read() })
    }
}
