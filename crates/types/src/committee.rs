//! The members of an epoch, in canonical order, and the threshold.

use std::{fmt, num::NonZeroU16};

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::NodePublicKey;

/// The most members that a committee may have. It bounds frames: a package carries one record each.
pub const MAX_MEMBERS: usize = 24;

/// A member's number in its committee, from 1: the FROST participant identifier (RFC 9591 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identifier(NonZeroU16);

impl Identifier {
    /// The identifier with this number; none for zero.
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, never zero.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({})", self.0)
    }
}

/// Why members and threshold make no committee.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// Too few or too many members.
    #[error("a committee has 2 to {MAX_MEMBERS} members, got {got}")]
    Size {
        /// How many there are.
        got: usize,
    },
    /// A member twice.
    #[error("member {member} is listed twice")]
    Duplicate {
        /// The member.
        member: NodePublicKey,
    },
    /// More than half must agree, so that two disjoint quorums cannot exist.
    #[error("the threshold of {members} members is {lowest} to {members}, got {got}")]
    Threshold {
        /// How many members there are.
        members: usize,
        /// The smallest legal threshold.
        lowest: usize,
        /// The threshold.
        got: u16,
    },
}

/// The members of one epoch, sorted by public key, and how many of them sign.
///
/// Members are distinct, at most [`MAX_MEMBERS`], and the threshold is more than half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committee {
    members: Vec<NodePublicKey>,
    /// In the same order: each costs a curve operation.
    addresses: Vec<Address>,
    threshold: u16,
}

impl Committee {
    /// Checks and sorts.
    pub fn new(mut members: Vec<NodePublicKey>, threshold: u16) -> Result<Self, CommitteeError> {
        let count = members.len();
        if !(2..=MAX_MEMBERS).contains(&count) {
            return Err(CommitteeError::Size { got: count });
        }
        members.sort();
        if let Some(pair) = members.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CommitteeError::Duplicate { member: pair[0] });
        }
        let lowest = count / 2 + 1;
        if !(lowest..=count).contains(&usize::from(threshold)) {
            return Err(CommitteeError::Threshold { members: count, lowest, got: threshold });
        }
        let addresses = members.iter().map(NodePublicKey::address).collect();
        Ok(Self { members, addresses, threshold })
    }

    /// The members, sorted by public key.
    pub fn members(&self) -> &[NodePublicKey] {
        &self.members
    }

    /// How many members there are.
    pub fn size(&self) -> u16 {
        u16::try_from(self.members.len()).expect("at most MAX_MEMBERS")
    }

    /// How many members make a signature.
    pub fn threshold(&self) -> u16 {
        self.threshold
    }

    /// Every identifier, ascending.
    pub fn identifiers(&self) -> impl Iterator<Item = Identifier> + use<> {
        (1..=self.size()).filter_map(Identifier::new)
    }

    /// The identifier of a member.
    pub fn identifier(&self, member: &NodePublicKey) -> Option<Identifier> {
        let index = self.members.binary_search(member).ok()?;
        Identifier::new(u16::try_from(index + 1).ok()?)
    }

    /// The member with an identifier.
    pub fn member(&self, identifier: Identifier) -> Option<&NodePublicKey> {
        self.members.get(usize::from(identifier.get()) - 1)
    }

    /// The Ethereum address of the member with an identifier.
    pub fn address(&self, identifier: Identifier) -> Option<Address> {
        self.addresses.get(usize::from(identifier.get()) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;

    fn members(count: u8) -> Vec<NodePublicKey> {
        (1..=count).map(|i| NodeKey::from_bytes([i; 32]).expect("a scalar").public_key()).collect()
    }

    #[test]
    fn identifiers_follow_the_sorted_keys() {
        let mut shuffled = members(5);
        shuffled.reverse();
        let committee = Committee::new(shuffled, 3).expect("legal");
        assert_eq!(committee, Committee::new(members(5), 3).expect("legal"));
        for id in committee.identifiers() {
            let member = committee.member(id).expect("in range");
            assert_eq!(committee.identifier(member), Some(id));
        }
        assert_eq!(Identifier::new(6).and_then(|id| committee.member(id)), None);
    }

    #[test]
    fn two_quorums_always_meet() {
        assert!(matches!(Committee::new(members(4), 2), Err(CommitteeError::Threshold { lowest: 3, .. })));
        assert!(Committee::new(members(4), 3).is_ok());
        assert!(Committee::new(members(4), 5).is_err());
        assert!(Committee::new(members(4), 0).is_err());
    }

    #[test]
    fn duplicates_and_absurd_sizes_are_refused() {
        let mut twice = members(3);
        twice.push(twice[0]);
        assert!(matches!(Committee::new(twice, 3), Err(CommitteeError::Duplicate { .. })));
        assert!(matches!(Committee::new(members(1), 1), Err(CommitteeError::Size { got: 1 })));
        assert!(matches!(Committee::new(members(25), 13), Err(CommitteeError::Size { got: 25 })));
    }
}
