//! The second line against reused nonces: commitments that stood in a package stand in no other.
//!
//! The first line is that nonces leave their owner once, by value. This one catches an owner whose memory was forked or
//! rolled back, and a coordinator that puts old commitments into new packages.

use std::collections::{BTreeMap, VecDeque};

use countersign_threshold::Commitments;
use countersign_types::{Identifier, PackageHash};

use crate::message::Package;

/// The most commitments that are remembered; beyond, the oldest are forgotten.
const MAX_SEEN: usize = 16_384;

/// Others' commitments, with the package that they stood in. By coordinator too: nobody can spoil what another uses.
#[derive(Default)]
pub(super) struct Seen {
    packages: BTreeMap<(Identifier, Commitments), PackageHash>,
    /// The oldest first.
    order: VecDeque<(Identifier, Commitments)>,
}

impl Seen {
    /// Whose commitments stood in another package of this coordinator.
    pub(super) fn find(
        &self,
        coordinator: Identifier,
        package: &Package,
        hash: PackageHash,
    ) -> Option<Identifier> {
        let mut all = package.signers.iter().flat_map(|(id, all)| all.iter().map(|one| (*id, one)));
        let used = |one: &Commitments| {
            self.packages.get(&(coordinator, one.clone())).is_some_and(|package| *package != hash)
        };
        all.find(|(_, one)| used(one)).map(|(id, _)| id)
    }

    /// Remembers the commitments of a package.
    pub(super) fn remember(&mut self, coordinator: Identifier, package: &Package, hash: PackageHash) {
        for one in package.signers.values().flatten() {
            let place = (coordinator, one.clone());
            if self.packages.insert(place.clone(), hash).is_none() {
                self.order.push_back(place);
            }
        }
        while self.order.len() > MAX_SEEN {
            if let Some(oldest) = self.order.pop_front() {
                self.packages.remove(&oldest);
            }
        }
    }
}
