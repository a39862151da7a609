//! What stood in the packages that this node has sent as a coordinator.
//!
//! Members sign no package with a commitment that stood in another one of the same coordinator (S3), and they are right. So whoever
//! commits twice to the same makes all others decline, and they look like the culprits. A coordinator that remembers its
//! packages sees who it was, before it asks anybody to sign.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use countersign_threshold::Commitments;
use countersign_types::{
    Identifier,
    mutant::{Mutant, broken},
};

use crate::recent::Recent;

/// The most commitments that are remembered; beyond, the oldest are forgotten. A member remembers fewer, but those of the packages that
/// it saw: one that signs rarely may remember what is forgotten here.
pub const MAX_SENT: usize = 32_768;

/// The commitments in a node's own packages, of all its sessions.
#[derive(Default)]
pub struct Sent {
    commitments: Mutex<Recent<(), MAX_SENT>>,
}

impl Sent {
    /// How many commitments are remembered.
    pub fn remembered(&self) -> usize {
        self.commitments.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Members that commit to what stood in an earlier package, or to the same twice in this one. If there are none, the package is
    /// one from now on.
    pub(crate) fn package(&self, signers: &BTreeMap<Identifier, Vec<Commitments>>) -> BTreeSet<Identifier> {
        if broken(Mutant::ForgetsItsPackages) {
            return BTreeSet::new();
        }
        let mut sent = self.commitments.lock().unwrap_or_else(PoisonError::into_inner);
        let repeats = |all: &Vec<Commitments>| {
            let distinct: BTreeSet<&Commitments> = all.iter().collect();
            distinct.len() < all.len() || all.iter().any(|one| sent.get(one).is_some())
        };
        let culprits: BTreeSet<Identifier> =
            signers.iter().filter(|(_, all)| repeats(all)).map(|(id, _)| *id).collect();
        if culprits.is_empty() {
            signers.values().flatten().for_each(|one| sent.insert(one, ()));
        }
        culprits
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::Bytes;

    use super::*;

    fn id(number: u16) -> Identifier {
        Identifier::new(number).expect("not zero")
    }

    /// Bytes that no two numbers share: what they commit to is looked at elsewhere.
    fn commitments(number: u32) -> Commitments {
        Commitments::try_from(Bytes::copy_from_slice(&number.to_be_bytes())).expect("it is short")
    }

    fn package(all: &[(u16, &[u32])]) -> BTreeMap<Identifier, Vec<Commitments>> {
        all.iter().map(|(of, all)| (id(*of), all.iter().copied().map(commitments).collect())).collect()
    }

    #[test]
    fn whoever_repeats_is_found_and_nobody_else() {
        let sent = Sent::default();
        assert!(sent.package(&package(&[(1, &[1]), (2, &[2])])).is_empty());
        let culprits = sent.package(&package(&[(1, &[3]), (2, &[2]), (3, &[4])]));
        assert_eq!(culprits, BTreeSet::from([id(2)]));
        assert!(sent.package(&package(&[(1, &[3]), (3, &[4])])).is_empty(), "those were in no package");
        assert_eq!(sent.package(&package(&[(1, &[5, 5]), (3, &[6, 7])])), BTreeSet::from([id(1)]));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let sent = Sent::default();
        let most = u32::try_from(MAX_SENT).expect("it fits");
        for number in 0..=most {
            assert!(sent.package(&package(&[(1, &[number])])).is_empty());
        }
        assert!(sent.package(&package(&[(1, &[0])])).is_empty(), "forgotten");
        assert!(!sent.package(&package(&[(1, &[most])])).is_empty());
        assert_eq!(sent.remembered(), MAX_SENT);
    }
}
