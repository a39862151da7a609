//! How many of how many: the bounds that every set of shares keeps.

use countersign_types::{Identifier, MAX_MEMBERS};

/// Why a threshold and a number of members do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected more than half of 2 to {MAX_MEMBERS} members, got {threshold} of {size}")]
pub struct QuorumError {
    /// The threshold.
    pub threshold: u16,
    /// How many members there are.
    pub size: u16,
}

/// A threshold of a number of members: more than half, so that two quorums always meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quorum {
    threshold: u16,
    size: u16,
}

impl Quorum {
    /// Checks the bounds.
    pub(crate) fn new(threshold: u16, size: u16) -> Result<Self, QuorumError> {
        let sized = (2..=MAX_MEMBERS).contains(&usize::from(size));
        if sized && (size / 2 + 1..=size).contains(&threshold) {
            Ok(Self { threshold, size })
        } else {
            Err(QuorumError { threshold, size })
        }
    }

    pub(crate) fn threshold(self) -> u16 {
        self.threshold
    }

    pub(crate) fn size(self) -> u16 {
        self.size
    }

    /// Whether a member has this identifier.
    pub(crate) fn contains(self, identifier: Identifier) -> bool {
        identifier.get() <= self.size
    }

    /// Every identifier, ascending.
    pub(crate) fn identifiers(self) -> impl Iterator<Item = Identifier> {
        (1..=self.size).filter_map(Identifier::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_more_than_half() {
        for (threshold, size) in [(2, 2), (2, 3), (3, 4), (3, 5), (13, 24), (24, 24)] {
            assert!(Quorum::new(threshold, size).is_ok(), "{threshold} of {size}");
        }
        for (threshold, size) in [(0, 0), (1, 1), (1, 2), (2, 4), (6, 5), (12, 24), (13, 25), (0, 3)] {
            assert!(Quorum::new(threshold, size).is_err(), "{threshold} of {size}");
        }
    }
}
